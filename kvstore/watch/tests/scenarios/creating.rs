//! Creating, cancelling and where a watch starts.

use super::*;

#[test]
fn created_comes_first_with_the_whole_header() {
    let mut b = Bench::new();
    let stream = b.open();
    b.create(stream, create("a", ""));
    let created = only(b.read(stream));
    let header = created.header.unwrap();
    assert_eq!(
        (
            header.cluster_id,
            header.member_id,
            header.revision,
            header.raft_term
        ),
        (11, 22, 1, 33)
    );
    assert_eq!(
        (created.watch_id, created.created, created.canceled),
        (0, true, false)
    );
    assert!(created.events.is_empty() && created.cancel_reason.is_empty());
}

#[test]
fn automatic_ids_count_from_zero_and_skip_used_ones() {
    let mut b = Bench::new();
    let stream = b.open();
    let with_id = |id| WatchCreateRequest {
        watch_id: id,
        ..create("a", "")
    };
    assert_eq!(b.watch(stream, create("a", "")), 0);
    assert_eq!(b.watch(stream, with_id(1)), 1);
    assert_eq!(b.watch(stream, with_id(3)), 3);
    assert_eq!(b.watch(stream, create("b", "")), 2);
    assert_eq!(b.watch(stream, create("b", "")), 4);
    assert_eq!(b.watch(stream, with_id(-9)), -9);
    b.create(stream, with_id(3));
    let refused = only(b.read(stream));
    assert!(refused.created && refused.canceled);
    assert_eq!(refused.watch_id, -1);
    assert_eq!(
        refused.cancel_reason,
        "mvcc: duplicate watch ID provided on the WatchStream"
    );
    // Another stream counts for itself.
    let other = b.open();
    assert_eq!(b.watch(other, create("a", "")), 0);
    // A cancelled id may be asked for again; automatic ids go on.
    b.cancel(stream, 0);
    assert!(only(b.read(stream)).canceled);
    assert_eq!(b.watch(stream, create("a", "")), 5);
}

#[test]
fn empty_ranges_and_negative_revisions_are_refused() {
    let mut b = Bench::new();
    let stream = b.open();
    for (key, end) in [("b", "a"), ("a", "a"), ("b\0", "b")] {
        b.create(stream, create(key, end));
        let refused = only(b.read(stream));
        assert!(refused.created && refused.canceled);
        assert_eq!((refused.watch_id, header_revision(&refused)), (-1, 1));
        assert_eq!(refused.cancel_reason, "mvcc: watcher range is empty");
    }
    b.create(stream, from(-1, create("a", "")));
    let refused = only(b.read(stream));
    assert!(refused.created && refused.canceled);
    assert_eq!((refused.watch_id, refused.compact_revision), (-1, 0));
    assert_eq!(
        refused.cancel_reason,
        "mvcc: required revision has been compacted"
    );
    assert_eq!(b.shard.watchers(stream), 0);
}

#[test]
fn key_and_range_forms() {
    let mut b = Bench::new();
    let stream = b.open();
    let forms = [
        create("", ""),          // the key \0
        create("", EVERYTHING),  // all keys
        create("b", EVERYTHING), // from b on
        create("b", ""),         // b
        create("b", "c"),        // prefix b
        create("a", "b\0"),      // a span
        create("b", "b\0"),      // b, said differently
    ];
    for form in forms {
        b.watch(stream, form);
    }
    let expect: [(&str, &[i64]); 6] = [
        ("\0", &[0, 1]),
        ("a", &[1, 5]),
        ("b", &[1, 2, 3, 4, 5, 6]),
        ("bb", &[1, 2, 4]),
        ("c", &[1, 2]),
        ("b\0", &[1, 2, 4]),
    ];
    for (key, ids) in expect {
        let revision = b.put(key);
        let responses = b.read(stream);
        let mut found: Vec<_> = responses.iter().map(|r| r.watch_id).collect();
        found.sort_unstable();
        assert_eq!(found, ids, "key {key:?}");
        assert!(
            responses
                .iter()
                .all(|r| header_revision(r) == revision && r.events.len() == 1)
        );
    }
}

#[test]
fn from_now_and_from_the_past() {
    let mut b = Bench::new();
    let stream = b.open();
    b.put("a");
    b.put("a");
    b.put("a");
    assert_eq!(b.watch(stream, create("a", "")), 0);
    b.create(stream, from(3, create("a", "")));
    let responses = b.read(stream);
    assert!(responses[0].created && responses[0].events.is_empty());
    assert_eq!(revisions(&responses), [3, 4]);
    assert_eq!(responses.len(), 2, "what was missed comes in one response");
    b.put("a");
    let responses = b.read(stream);
    assert_eq!(revisions(&responses), [5, 5]);
}

#[test]
fn the_start_is_what_readers_see_even_if_events_are_on_their_way() {
    let mut b = Bench::new();
    let stream = b.open();
    b.watch(stream, create("other", ""));
    let two = b.store.put("a");
    b.create(stream, create("a", ""));
    let created = only(b.read(stream));
    assert_eq!(header_revision(&created), 2);
    b.progress(stream);
    assert!(b.read(stream).is_empty(), "revision 2 has not come by yet");
    b.publish(vec![two]);
    let progress = only(b.read(stream));
    assert_eq!((progress.watch_id, header_revision(&progress)), (-1, 2));
    b.put("a");
    assert_eq!(revisions(&b.read(stream)), [3]);
}

#[test]
fn a_future_start_waits_without_events_or_progress() {
    let mut b = Bench::new();
    let stream = b.open();
    let notify = WatchCreateRequest {
        progress_notify: true,
        ..create("a", "")
    };
    b.watch(stream, from(4, notify));
    b.put("a"); // 2
    b.progress(stream);
    b.now += INTERVAL_MS;
    b.shard.tick(b.now);
    assert!(b.read(stream).is_empty());
    b.put("b"); // 3
    assert!(b.read(stream).is_empty());
    b.put("b"); // 4: reached, though with nothing for this watch
    b.progress(stream);
    assert_eq!(header_revision(&only(b.read(stream))), 4);
    b.now += INTERVAL_MS;
    b.shard.tick(b.now);
    let timed = only(b.read(stream));
    assert_eq!((timed.watch_id, header_revision(&timed)), (0, 4));
    b.put("a");
    assert_eq!(revisions(&b.read(stream)), [5]);
}

#[test]
fn compacted_start() {
    let mut b = Bench::new();
    let stream = b.open();
    for _ in 0..5 {
        b.put("a"); // 2..=6
    }
    b.store.compact(4);
    b.hub.set_compacted(4);
    b.create(stream, from(3, create("a", "")));
    let responses = b.read(stream);
    let [created, canceled] = &responses[..] else {
        panic!("{responses:?}")
    };
    assert!(created.created && !created.canceled);
    assert_eq!((created.watch_id, header_revision(created)), (0, 6));
    assert!(canceled.canceled && !canceled.created);
    assert_eq!((canceled.watch_id, canceled.compact_revision), (0, 4));
    assert_eq!(
        (header_revision(canceled), canceled.cancel_reason.as_str()),
        (0, "")
    );
    assert_eq!(canceled.header.unwrap().cluster_id, 11);

    // The id stays taken until the client cancels it too, as clients do.
    b.create(
        stream,
        WatchCreateRequest {
            watch_id: 0,
            ..create("a", "")
        },
    );
    assert_eq!(only(b.read(stream)).watch_id, 1);
    b.cancel(stream, 0);
    assert!(only(b.read(stream)).canceled);
    b.cancel(stream, 0);
    assert!(b.read(stream).is_empty());

    // The compacted revision itself is served.
    b.create(stream, from(4, create("a", "")));
    assert_eq!(revisions(&b.read(stream)), [4, 5, 6]);
}

#[test]
fn a_running_watch_is_overtaken_by_compaction() {
    let options = HubOptions {
        ring_bytes: 1,
        ..HubOptions::default()
    };
    let mut b = Bench::with(Store::new(), options);
    let (slow, idle) = (b.open(), b.open());
    b.watch(slow, create("a", ""));
    b.watch(idle, create("z", ""));
    for _ in 0..5 {
        b.put("a"); // 2..=6
    }
    b.store.compact(5);
    b.hub.set_compacted(5);
    let canceled = only(b.read(slow));
    assert!(canceled.canceled && canceled.events.is_empty());
    assert_eq!(
        (canceled.compact_revision, header_revision(&canceled)),
        (5, 0)
    );
    // Whoever has missed nothing goes on.
    b.put("z");
    assert_eq!(revisions(&b.read(idle)), [7]);
}

#[test]
fn cancel() {
    let mut b = Bench::new();
    let stream = b.open();
    b.watch(stream, create("a", ""));
    b.watch(stream, create("a", ""));
    b.put("a");
    b.cancel(stream, 0);
    b.cancel(stream, 77);
    let responses = b.read(stream);
    assert_eq!(responses.len(), 2, "{responses:?}");
    assert!(responses[0].canceled && !responses[0].created);
    assert_eq!(
        (responses[0].watch_id, header_revision(&responses[0])),
        (0, 2)
    );
    assert_eq!(
        (
            responses[0].compact_revision,
            responses[0].cancel_reason.as_str()
        ),
        (0, "")
    );
    assert_eq!(responses[1].watch_id, 1);
    b.put("a");
    assert_eq!(only(b.read(stream)).watch_id, 1);
}

#[test]
fn requests_of_no_known_kind_are_ignored() {
    let mut b = Bench::new();
    let stream = b.open();
    b.shard
        .request(stream, &WatchRequest::default(), &b.store, b.now);
    assert!(b.read(stream).is_empty());
}
