//! What etcd's watch service promises, line by line.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use mainstay_proto::etcdserverpb::watch_create_request::FilterType;
use mainstay_proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use mainstay_proto::mvccpb::event::EventType;
use mainstay_watch::limits::{
    CONTROL_QUEUE_MAX, FRAGMENT_OVERHEAD_BYTES, HISTORY_RETRY_MS, PENDING_PER_GROUP_MAX,
};
use mainstay_watch::{History, Hub, HubOptions, Poll};
use support::{Bench, INTERVAL_MS, Store, Write, create, decode, header_revision, revisions};

const EVERYTHING: &str = "\0";

fn from(start_revision: i64, request: WatchCreateRequest) -> WatchCreateRequest {
    WatchCreateRequest {
        start_revision,
        ..request
    }
}

fn only(mut responses: Vec<WatchResponse>) -> WatchResponse {
    assert_eq!(responses.len(), 1, "{responses:?}");
    responses.remove(0)
}

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

#[test]
fn revisions_are_atomic_and_laggards_get_many_in_one_response() {
    let mut b = Bench::new();
    let stream = b.open();
    b.watch(stream, create("k", "l"));
    let put = |key: &str| Write::Put(key.to_owned(), 3);
    for _ in 0..10 {
        let revision = b.store.write(&[put("k1"), put("x"), put("k2"), put("k3")]);
        b.publish(vec![revision]);
    }
    let response = only(b.read(stream));
    assert_eq!(response.events.len(), 30);
    assert_eq!(header_revision(&response), 11);

    // Responses end between revisions, however large these are and however little is taken at a time.
    let large: Vec<_> = (0..8)
        .map(|n| Write::Put(format!("k{n}"), 100_000))
        .collect();
    for _ in 0..5 {
        let revision = b.store.write(&large);
        b.publish(vec![revision]);
    }
    let responses = b.read(stream);
    assert!(responses.len() > 1);
    for response in &responses {
        assert_eq!(response.events.len() % 8, 0, "whole revisions");
        assert!(!response.fragment);
    }
    assert_eq!(responses.iter().map(|r| r.events.len()).sum::<usize>(), 40);
}

#[test]
fn fragments() {
    let options = HubOptions {
        max_request_bytes: 1_000,
        ..HubOptions::default()
    };
    let limit = 1_000 + FRAGMENT_OVERHEAD_BYTES;
    let mut b = Bench::with(Store::new(), options);
    let stream = b.open();
    b.watch(
        stream,
        WatchCreateRequest {
            fragment: true,
            ..create("k", "l")
        },
    );
    b.watch(stream, create("k", "l"));
    let mut writes: Vec<_> = (0..20)
        .map(|n| Write::Put(format!("k{n}"), 100_000))
        .collect();
    writes.push(Write::Put("kz".into(), limit + 5));
    let revision = b.store.write(&writes);
    b.publish(vec![revision.clone()]);
    let mut pieces = Vec::new();
    while b.shard.poll(stream, &b.store, &mut pieces, 1) != Poll::Idle {}
    let responses = decode(&pieces);
    let (parts, whole): (Vec<_>, Vec<_>) = responses.into_iter().partition(|r| r.watch_id == 0);
    assert_eq!(
        only(whole).events.len(),
        21,
        "without the option it is sent whole"
    );
    assert_eq!(parts.len(), 5);
    for (n, part) in parts.iter().enumerate() {
        assert_eq!(part.fragment, n < 4, "all but the last say there is more");
        let size = prost::Message::encoded_len(part);
        assert!(part.events.len() == 1 || size < limit, "{size}");
    }
    let events: Vec<_> = parts.into_iter().flat_map(|p| p.events).collect();
    assert_eq!(events.len(), 21);
    for (event, written) in events.iter().zip(&revision.1) {
        assert_eq!(event.kv, written.kv, "in order");
    }
    // The same for who reads it from the past.
    b.create(
        stream,
        WatchCreateRequest {
            fragment: true,
            ..from(2, create("k", "l"))
        },
    );
    let parts = b.read(stream);
    assert_eq!(parts.len(), 6);
    assert!(parts[0].created && parts[1].fragment && !parts[5].fragment);
    // A small response is not marked.
    b.put("k1");
    assert!(
        b.read(stream)
            .iter()
            .all(|r| !r.fragment && r.events.len() == 1)
    );
}

#[test]
fn filters_apply_before_anything_is_sent() {
    let mut b = Bench::new();
    let stream = b.open();
    let filtered = |f: &[FilterType]| WatchCreateRequest {
        filters: f.iter().map(|&f| f as i32).collect(),
        ..create("a", "")
    };
    b.watch(stream, filtered(&[FilterType::Noput])); // 0
    b.watch(stream, filtered(&[FilterType::Nodelete])); // 1
    b.watch(stream, filtered(&[FilterType::Noput, FilterType::Nodelete])); // 2
    b.put("a");
    assert_eq!(only(b.read(stream)).watch_id, 1);
    b.delete("a");
    assert_eq!(only(b.read(stream)).watch_id, 0);
    // Also for the past.
    b.create(stream, from(2, filtered(&[FilterType::Noput])));
    assert_eq!(revisions(&b.read(stream)), [3]);
}

#[test]
fn previous_values_and_bare_deletions() {
    let mut b = Bench::new();
    let stream = b.open();
    b.watch(
        stream,
        WatchCreateRequest {
            prev_kv: true,
            ..create("a", "")
        },
    ); // 0
    b.watch(stream, create("a", "")); // 1
    b.put("a");
    b.put("a");
    b.delete("a");
    b.create(
        stream,
        WatchCreateRequest {
            prev_kv: true,
            ..from(2, create("a", ""))
        },
    ); // 2
    let responses = b.read(stream);
    for response in responses.iter().filter(|r| !r.created) {
        let [created, changed, deleted] = &response.events[..] else {
            panic!("three events")
        };
        assert_eq!(created.prev_kv, None);
        let prev = response.watch_id != 1;
        for (event, revision) in [(changed, 2), (deleted, 3)] {
            let found = event.prev_kv.as_ref().map(|p| p.mod_revision);
            assert_eq!(found, prev.then_some(revision));
        }
        assert_eq!(deleted.r#type, EventType::Delete as i32);
        let kv = deleted.kv.clone().unwrap();
        assert_eq!((&kv.key[..], kv.mod_revision), (&b"a"[..], 4));
        assert_eq!(
            (kv.version, kv.create_revision, kv.lease, kv.value.len()),
            (0, 0, 0, 0)
        );
        assert_eq!(created.kv.as_ref().unwrap().lease, 7);
    }
    assert_eq!(responses.len(), 4);
}

#[test]
fn timed_progress() {
    let mut b = Bench::new();
    let stream = b.open();
    let notify = WatchCreateRequest {
        progress_notify: true,
        ..create("a", "")
    };
    assert_eq!(b.shard.next_tick(), None);
    b.watch(stream, notify.clone()); // 0
    b.watch(stream, create("a", "")); // 1 does not want any
    b.watch(
        stream,
        WatchCreateRequest {
            key: Bytes::from_static(b"c"),
            ..notify
        },
    ); // 2
    let due = b.shard.next_tick().unwrap();
    assert_eq!(due, b.now + INTERVAL_MS);
    b.shard.tick(due - 1);
    assert!(b.read(stream).is_empty());
    b.put("b");
    b.shard.tick(due);
    let responses = b.read(stream);
    let told: Vec<_> = responses
        .iter()
        .map(|r| (r.watch_id, header_revision(r)))
        .collect();
    assert_eq!(told, [(0, 2), (2, 2)]);
    assert!(
        responses
            .iter()
            .all(|r| r.events.is_empty() && !r.created && !r.canceled)
    );
    // Whoever was sent events since the last tick is passed over once.
    b.put("a");
    assert_eq!(b.read(stream).len(), 2);
    b.shard.tick(due + INTERVAL_MS);
    assert_eq!(only(b.read(stream)).watch_id, 2);
    b.shard.tick(due + 2 * INTERVAL_MS);
    assert_eq!(b.read(stream).len(), 2);
    // Missed ticks are not made up for.
    b.shard.tick(due + 10 * INTERVAL_MS + 5);
    assert_eq!(b.read(stream).len(), 2);
    assert_eq!(b.shard.next_tick(), Some(due + 11 * INTERVAL_MS));
    // Who is owed events is not told of progress.
    b.put("a");
    b.shard.tick(due + 11 * INTERVAL_MS);
    let responses = b.read(stream);
    assert_eq!(responses.iter().filter(|r| r.events.is_empty()).count(), 1);
    b.shard.close_stream(stream);
    assert_eq!(b.shard.next_tick(), None);
}

#[test]
fn requested_progress() {
    let mut b = Bench::new();
    let stream = b.open();
    b.progress(stream);
    assert!(
        b.read(stream).is_empty(),
        "nothing on a stream without watches"
    );
    b.watch(stream, create("a", ""));
    b.put("x");
    b.progress(stream);
    let progress = only(b.read(stream));
    assert_eq!(
        (progress.watch_id, header_revision(&progress)),
        (-1, 2),
        "never saw an event"
    );
    assert!(progress.events.is_empty() && !progress.created && !progress.canceled);
    // After all earlier events of the stream.
    b.watch(stream, create("b", ""));
    b.put("a");
    b.put("b");
    b.progress(stream);
    b.progress(stream);
    b.put("a");
    let responses = b.read(stream);
    let ids: Vec<_> = responses.iter().map(|r| r.watch_id).collect();
    assert_eq!(ids, [0, 1, -1]);
    assert_eq!(header_revision(&responses[2]), 5);
    // Silently nothing while one of the watches catches up.
    b.create(stream, from(2, create("a", "")));
    b.progress(stream);
    let responses = b.read(stream);
    assert!(responses.iter().all(|r| r.watch_id == 2));
    b.progress(stream);
    assert_eq!(only(b.read(stream)).watch_id, -1);
}

#[test]
fn progress_is_not_starved_by_a_busy_stream() {
    let mut b = Bench::new();
    let stream = b.open();
    for key in ["a", "b", "c"] {
        b.watch(stream, create(key, ""));
    }
    b.put("a");
    b.progress(stream);
    let asked_at = b.store.revision();
    let mut pieces = Vec::new();
    for round in 0..20 {
        for key in ["a", "b", "c"] {
            b.put(key);
        }
        b.shard.poll(stream, &b.store, &mut pieces, 1);
        let responses = decode(&pieces);
        if let Some(at) = responses.iter().position(|r| r.watch_id == -1) {
            let told = header_revision(&responses[at]);
            assert!(told >= asked_at);
            let mut before = revisions(&responses[..at]);
            before.sort_unstable();
            before.retain(|r| *r <= told);
            let expected: Vec<_> = (2..=told).collect();
            assert_eq!(before, expected, "everything it speaks of was sent before");
            return;
        }
        assert!(round < 12, "progress is put off for ever");
    }
    unreachable!("found or panicked");
}

#[test]
fn a_refusal_of_the_servers() {
    let mut b = Bench::new();
    let stream = b.open();
    let reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
    b.shard.refuse(stream, reason.to_owned(), &b.store);
    let refused = only(b.read(stream));
    assert!(refused.created && refused.canceled);
    assert_eq!(
        (refused.watch_id, refused.cancel_reason.as_str()),
        (-1, reason)
    );
}

#[test]
fn the_server_cancels_all() {
    let mut b = Bench::new();
    let stream = b.open();
    b.watch(stream, create("a", ""));
    b.watch(stream, create("b", ""));
    b.put("a");
    b.shard.cancel_all(stream, "etcdserver: no leader");
    let responses = b.read(stream);
    assert_eq!(
        responses.iter().map(|r| r.watch_id).collect::<Vec<_>>(),
        [0, 1]
    );
    assert!(
        responses
            .iter()
            .all(|r| r.canceled && r.cancel_reason == "etcdserver: no leader")
    );
    assert_eq!(b.shard.watchers(stream), 0);
    assert_eq!(b.shard.stats().ranges, 0);
    b.put("a");
    assert!(b.read(stream).is_empty());
}

#[test]
fn a_slow_stream_neither_blocks_nor_costs_the_others() {
    let options = HubOptions {
        ring_bytes: 10_000,
        ..HubOptions::default()
    };
    let mut b = Bench::with(Store::new(), options);
    let (slow, fast) = (b.open(), b.open());
    b.watch(slow, create("a", ""));
    b.watch(fast, create("a", ""));
    let mut last = 0;
    for _ in 0..2 * PENDING_PER_GROUP_MAX {
        last = b.put("a");
        assert_eq!(revisions(&b.read(fast)), [last]);
    }
    assert!(b.shard.stats().pending <= PENDING_PER_GROUP_MAX);
    assert!(b.shard.stats().ring_bytes <= 10_000);
    assert_eq!(b.store.reads.get(), 0);
    // The slow one has been left behind by the ring and misses nothing all the same.
    let expected: Vec<_> = (2..=last).collect();
    assert_eq!(revisions(&b.read(slow)), expected);
    assert!(b.store.reads.get() > 0);
    last = b.put("a");
    assert_eq!(revisions(&b.read(slow)), [last]);
    assert_eq!(revisions(&b.read(fast)), [last]);
}

#[test]
fn more_matches_than_are_kept() {
    let mut b = Bench::new();
    let stream = b.open();
    b.watch(stream, create("a", ""));
    for _ in 0..PENDING_PER_GROUP_MAX + 10 {
        b.put("a");
    }
    assert!(b.shard.stats().pending <= PENDING_PER_GROUP_MAX);
    let found = revisions(&b.read(stream));
    assert_eq!(found, (2..=b.store.revision()).collect::<Vec<_>>());
    assert_eq!(b.store.reads.get(), 0, "the ring still has them");
}

#[test]
fn an_inbox_that_overflows_is_made_up_for() {
    let options = HubOptions {
        ring_bytes: 2_000,
        ..HubOptions::default()
    };
    let mut b = Bench::with(Store::new(), options);
    let stream = b.open();
    b.watch(stream, create("a", ""));
    for _ in 0..1_000 {
        let revision = b.store.put("a");
        b.hub.publish(vec![revision]);
    }
    b.drain();
    assert_eq!(revisions(&b.read(stream)), (2..=1_001).collect::<Vec<_>>());
    b.put("a");
    assert_eq!(revisions(&b.read(stream)), [1_002]);
}

#[test]
fn a_snapshot_neither_repeats_nor_travels_back() {
    let mut b = Bench::new();
    let (stream, idle) = (b.open(), b.open());
    b.watch(stream, create("a", ""));
    b.watch(idle, create("a", ""));
    b.put("a"); // 2
    assert_eq!(revisions(&b.read(stream)), [2]);
    // Revisions 3..=6 come with a snapshot.
    for _ in 0..4 {
        b.store.put("a");
    }
    b.hub.reset(6, 0);
    assert_eq!(b.put("a"), 7);
    assert_eq!(revisions(&b.read(stream)), [3, 4, 5, 6, 7]);
    assert_eq!(revisions(&b.read(idle)), [2, 3, 4, 5, 6, 7]);
    // A batch from before a snapshot that has it already.
    let (eight, nine) = (b.store.put("a"), b.store.put("a"));
    b.hub.reset(9, 0);
    b.drain();
    b.hub.publish(vec![eight.clone(), nine.clone()]);
    b.hub.reset(3, 0);
    b.drain();
    assert_eq!(revisions(&b.read(stream)), [8, 9]);
    let ten = b.store.put("a");
    b.publish(vec![nine, ten]);
    assert_eq!(revisions(&b.read(stream)), [10]);
    let past = b.open();
    b.create(past, from(8, create("a", "")));
    assert_eq!(
        revisions(&b.read(past)),
        [8, 9, 10],
        "nor is it doubled for who comes later"
    );
}

#[test]
fn a_snapshot_beyond_what_is_compacted_cancels() {
    let mut b = Bench::new();
    let (stream, future) = (b.open(), b.open());
    b.watch(stream, create("a", ""));
    b.watch(future, from(100, create("a", "")));
    b.put("a"); // 2
    assert_eq!(revisions(&b.read(stream)), [2]);
    for _ in 0..8 {
        b.store.put("x"); // 3..=10
    }
    b.store.compact(7);
    b.hub.reset(10, 7);
    b.drain();
    let canceled = only(b.read(stream));
    assert!(canceled.canceled);
    assert_eq!(canceled.compact_revision, 7);
    assert!(b.read(future).is_empty());
    assert_eq!(b.shard.stats().revision, 10);
}

#[test]
fn failing_history_is_tried_again() {
    let mut b = Bench::new();
    let stream = b.open();
    b.put("a");
    b.watch(stream, create("b", ""));
    b.store.fail.set(true);
    b.create(stream, from(2, create("a", "")));
    let responses = b.read(stream);
    assert!(
        only(responses).created,
        "the stream is idle until the next attempt"
    );
    assert_eq!(b.shard.next_tick(), Some(b.now + HISTORY_RETRY_MS));
    b.put("b");
    assert_eq!(revisions(&b.read(stream)), [3], "others are served");
    b.woken();
    b.store.fail.set(false);
    b.shard.tick(b.now + HISTORY_RETRY_MS);
    assert_eq!(b.woken(), [stream]);
    assert_eq!(revisions(&b.read(stream)), [2]);
    assert_eq!(b.shard.next_tick(), None);
    // The same for a gap.
    b.store.put("a");
    b.store.fail.set(true);
    b.hub.reset(4, 0);
    b.drain();
    assert!(b.read(stream).is_empty());
    assert!(b.shard.next_tick().is_some());
    b.store.fail.set(false);
    b.shard.tick(b.now + HISTORY_RETRY_MS);
    b.drain();
    assert_eq!(revisions(&b.read(stream)), [4]);
    assert_eq!(b.shard.next_tick(), None);
}

#[test]
fn one_wake_up_per_drain_and_one_mention_per_stream() {
    let store = Store::new();
    let (hub, mut seeds) = Hub::new(2, 1, HubOptions::default());
    let wakes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&wakes);
    let _other = seeds
        .pop()
        .unwrap()
        .start(|| panic!("nobody watches there"));
    let mut shard = seeds.pop().unwrap().start(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    hub.publish(vec![store.put("a")]);
    assert_eq!(wakes.load(Ordering::SeqCst), 0, "nobody watches");
    let stream = shard.open_stream(0, 1_000);
    let create = support::request(
        mainstay_proto::etcdserverpb::watch_request::RequestUnion::CreateRequest(create("a", "")),
    );
    shard.request(stream, &create, &store, 0);
    shard.request(stream, &create, &store, 0);
    let mut woken = Vec::new();
    shard.take_woken(&mut woken);
    assert_eq!(woken, [stream]);
    for _ in 0..3 {
        hub.publish(vec![store.put("a")]);
    }
    assert_eq!(wakes.load(Ordering::SeqCst), 1);
    assert!(!shard.drain_inbox(&store));
    woken.clear();
    shard.take_woken(&mut woken);
    assert_eq!(woken, [stream]);
    hub.publish(vec![store.put("a")]);
    assert_eq!(wakes.load(Ordering::SeqCst), 2);
    // A stream with more than was asked for is mentioned again.
    let mut out = Vec::new();
    assert_eq!(shard.poll(stream, &store, &mut out, 1), Poll::Ready(1));
    woken.clear();
    shard.take_woken(&mut woken);
    assert_eq!(woken, [stream]);
}

#[test]
fn requests_are_held_back_while_answers_are_not_read() {
    let mut b = Bench::new();
    let stream = b.open();
    let mut sent = 0;
    while b.shard.accepts_requests(stream) {
        b.create(stream, create("a", ""));
        sent += 1;
    }
    assert_eq!(sent, CONTROL_QUEUE_MAX);
    assert_eq!(b.read(stream).len(), sent);
    assert!(b.shard.accepts_requests(stream));
}

#[test]
fn closed_streams_leave_nothing_behind() {
    let mut b = Bench::new();
    let (stream, other) = (b.open(), b.open());
    for key in ["a", "b", "c"] {
        b.watch(stream, create(key, "d"));
        b.watch(other, create(key, ""));
    }
    b.put("c");
    b.shard.close_stream(stream);
    b.shard.close_stream(stream);
    assert_eq!(
        b.shard.poll(stream, &b.store, &mut Vec::new(), 100),
        Poll::Idle
    );
    assert_eq!(b.shard.stats().ranges, 3);
    let reopened = b.open();
    assert_ne!(reopened, stream);
    assert!(b.read(reopened).is_empty());
    b.shard.close_stream(other);
    let stats = b.shard.stats();
    assert_eq!((stats.streams, stats.watchers, stats.ranges), (1, 0, 0));
    assert_eq!((stats.pending, stats.ring_bytes), (0, 0));
    assert!(!b.woken().contains(&stream));
}

#[test]
fn a_watch_is_cancelled_in_the_middle_of_a_pass() {
    let mut b = Bench::new();
    let stream = b.open();
    for _ in 0..6 {
        b.watch(stream, create("a", ""));
    }
    b.put("a");
    let mut pieces = Vec::new();
    for _ in 0..3 {
        assert_eq!(
            b.shard.poll(stream, &b.store, &mut pieces, 1),
            Poll::Ready(1)
        );
    }
    // The last watch takes the place of one that was served.
    b.cancel(stream, 0);
    b.put("a");
    let mut seen = std::collections::BTreeMap::<i64, Vec<i64>>::new();
    let mut responses = decode(&pieces);
    responses.extend(b.read(stream));
    for response in responses.iter().filter(|r| !r.canceled) {
        seen.entry(response.watch_id)
            .or_default()
            .extend(revisions(std::slice::from_ref(response)));
    }
    seen.remove(&0);
    assert_eq!(seen.len(), 5);
    assert!(seen.values().all(|r| *r == [2, 3]), "{seen:?}");
}
