//! What is delivered: whole revisions, fragments, filters, previous values, progress.

use super::*;

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
