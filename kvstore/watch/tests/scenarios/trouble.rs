//! Refusals, slow streams, overflow, snapshots and failing history.

use super::*;

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
