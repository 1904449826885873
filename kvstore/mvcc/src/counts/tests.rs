//! Readers whose snapshot and the table stand at different revisions.

use crate::limits::CountLimits;
use crate::store::{Position, Shared};
use crate::view::View;
use crate::{LeaseLookup, Mvcc};
use bytes::Bytes;
use mainstay_engine::{Engine, MemEngine, Read};
use mainstay_proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest};
use std::cell::Cell;
use std::sync::Arc;

const LIMITS: CountLimits = CountLimits {
    interval_keys: 4,
    scan_first: 0,
    learn_keys: 8,
    log_events: 1000,
};

struct NoLeases;

impl LeaseLookup for NoLeases {
    fn exists(&self, _id: i64) -> bool {
        false
    }
}

fn put(store: &mut Mvcc<MemEngine>, keys: impl Iterator<Item = u32>) {
    let mut batch = store.begin();
    for n in keys {
        let r = PutRequest {
            key: format!("{n:03}").into(),
            ..Default::default()
        };
        batch.put(&r, &NoLeases).unwrap();
    }
    batch.commit().unwrap();
}

fn delete(store: &mut Mvcc<MemEngine>, start: &'static str, end: &'static str) {
    let mut batch = store.begin();
    let r = DeleteRangeRequest {
        key: Bytes::from_static(start.as_bytes()),
        range_end: Bytes::from_static(end.as_bytes()),
        prev_kv: false,
    };
    batch.delete_range(&r).unwrap();
    batch.commit().unwrap();
}

/// 100 keys, the even ones below 200.
fn store() -> Mvcc<MemEngine> {
    let engine = Arc::new(MemEngine::new());
    let mut store = Mvcc::open_with(engine, LIMITS).unwrap();
    put(&mut store, (0..100).map(|n| 2 * n));
    store
}

fn view<'a, R: Read>(read: &'a R, shared: &'a Shared<MemEngine>) -> View<'a, R> {
    let Position {
        revision,
        compacted,
    } = Position::read(read).unwrap();
    View {
        read,
        overlay: None,
        engine_revision: revision,
        revision,
        compacted,
        latest: shared,
        oldest_read: Cell::new(i64::MAX),
    }
}

fn count<R: Read>(view: &View<'_, R>, start: &str, end: &str) -> i64 {
    let count = view.count(start.as_bytes(), Some(end.as_bytes()), view.revision);
    count.unwrap()
}

/// Lets the table learn all keys.
fn learn(store: &Mvcc<MemEngine>) {
    let r = RangeRequest {
        key: Bytes::from_static(b"0"),
        range_end: Bytes::from_static(b"9"),
        count_only: true,
        ..Default::default()
    };
    assert_eq!(store.reader().range(&r).unwrap().count, 100);
    assert!(store.reader().count_stats().learned > 0);
}

/// What a batch between a reader's snapshot and its look at the table does.
fn move_on(store: &mut Mvcc<MemEngine>) {
    put(store, (0..30).map(|n| 4 * n + 1));
    delete(store, "031", "076");
    put(store, [40, 42, 40].into_iter());
}

const RANGES: [(&str, &str, i64); 5] = [
    ("0", "9", 100),
    ("010", "150", 70),
    ("035", "071", 18),
    ("040", "041", 1),
    ("100", "9", 50),
];

#[test]
fn a_table_newer_than_the_snapshot() {
    let mut store = store();
    learn(&store);
    let engine = Arc::clone(store.engine());
    let snapshot = engine.snapshot();
    move_on(&mut store);
    let shared = Arc::clone(&store.shared);
    let before = shared.counts.stats().from_log;
    for (start, end, want) in RANGES {
        assert_eq!(count(&view(&snapshot, &shared), start, end), want);
    }
    assert!(shared.counts.stats().from_log > before);
}

#[test]
fn a_table_newer_than_the_snapshot_whose_log_was_dropped() {
    let mut store = store();
    learn(&store);
    let engine = Arc::clone(store.engine());
    let snapshot = engine.snapshot();
    move_on(&mut store);
    let now = store.revision();
    let mut batch = store.begin();
    batch.compact(now).unwrap();
    batch.commit().unwrap();
    engine.reclaim(now).unwrap();
    let before = store.shared.counts.stats().from_log;
    for (start, end, want) in RANGES {
        assert_eq!(count(&view(&snapshot, &store.shared), start, end), want);
    }
    assert_eq!(store.shared.counts.stats().from_log, before);
}

#[test]
fn a_table_older_than_the_snapshot() {
    let mut ahead = store();
    // Another table on the same engine, which does not hear of what is written.
    let behind = Mvcc::open_with(Arc::clone(ahead.engine()), LIMITS).unwrap();
    learn(&behind);
    move_on(&mut ahead);
    let engine = Arc::clone(ahead.engine());
    let snapshot = engine.snapshot();
    let fresh = Mvcc::open(Arc::clone(&engine)).unwrap();
    for (start, end, old) in RANGES {
        let got = count(&view(&snapshot, &behind.shared), start, end);
        assert_eq!(got, count(&view(&snapshot, &fresh.shared), start, end));
        assert!(got != old || start >= "040", "the test changes something");
    }
    assert!(behind.shared.counts.stats().from_log > 0);
    assert_eq!(fresh.shared.counts.stats().from_table, 0);
}

#[test]
fn what_an_old_snapshot_taught_is_brought_up_to_the_table() {
    let mut store = store();
    let engine = Arc::clone(store.engine());
    let snapshot = engine.snapshot();
    move_on(&mut store);
    assert_eq!(count(&view(&snapshot, &store.shared), "010", "150"), 70);
    assert!(store.shared.counts.stats().learned > 0);
    let fresh = Mvcc::open(Arc::clone(&engine)).unwrap();
    let now = engine.snapshot();
    for (start, end, _) in RANGES {
        let got = count(&view(&now, &store.shared), start, end);
        assert_eq!(got, count(&view(&now, &fresh.shared), start, end));
    }
    assert!(store.shared.counts.stats().from_table > 0);
}
