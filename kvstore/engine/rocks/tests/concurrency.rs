//! Readers beside the writer, compactions and reclamation, on RocksDB: every answer is one state.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mainstay_engine::Engine;
use mainstay_engine_rocks::{RocksEngine, RocksOptions};
use mainstay_mvcc::{LeaseLookup, Mvcc, MvccError, Reader};
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::{PutRequest, RangeRequest, RequestOp, TxnRequest};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

const KEYS: usize = 40;
const RUN_TIME: Duration = Duration::from_secs(3);

struct NoLeases;

impl LeaseLookup for NoLeases {
    fn exists(&self, _id: i64) -> bool {
        false
    }
}

/// One revision that sets every key to the same value, larger than the log stores inline.
fn set_all(n: i64) -> TxnRequest {
    let put = |i: usize| PutRequest {
        key: format!("key{i:02}").into(),
        value: format!("{n:01100}").into(),
        ..Default::default()
    };
    let op = |i| RequestOp {
        request: Some(Request::RequestPut(put(i))),
    };
    TxnRequest {
        success: (0..KEYS).map(op).collect(),
        ..Default::default()
    }
}

/// Revision 1 is the empty store; revision n sets everything to n.
fn check_range(reader: &Reader<RocksEngine>, revision: i64) -> Result<(), MvccError> {
    let r = RangeRequest {
        key: "key".into(),
        range_end: "kez".into(),
        revision,
        ..Default::default()
    };
    let response = reader.range(&r)?;
    let current = response.header.unwrap().revision;
    let expected = if revision > 0 { revision } else { current };
    assert_eq!(response.kvs.len(), KEYS, "at {revision} of {current}");
    for kv in response.kvs {
        assert_eq!(kv.mod_revision, expected);
        assert_eq!(kv.value, format!("{expected:01100}"));
    }
    Ok(())
}

/// One key at the current revision: every revision sets it.
fn check_get(reader: &Reader<RocksEngine>) -> Result<(), MvccError> {
    let before = reader.revision();
    let r = RangeRequest {
        key: "key07".into(),
        ..Default::default()
    };
    let response = reader.range(&r)?;
    let revision = response.header.unwrap().revision;
    assert!(revision >= before);
    assert_eq!(response.kvs[0].mod_revision, revision);
    assert_eq!(response.kvs[0].value, format!("{revision:01100}"));
    Ok(())
}

fn check_events(reader: &Reader<RocksEngine>, from: i64) -> Result<(), MvccError> {
    let compacted = reader.compacted();
    for (n, revision) in reader.events(from, 5, 1 << 20)?.iter().enumerate() {
        assert_eq!(revision.revision, from + n as i64);
        assert_eq!(revision.events.len(), KEYS);
        for event in &revision.events {
            assert_eq!(
                event.kv.as_ref().unwrap().value,
                format!("{:01100}", revision.revision)
            );
            let before = revision.revision - 1;
            match &event.prev_kv {
                Some(prev) => assert_eq!(prev.mod_revision, before),
                None => assert!(before < compacted.max(reader.compacted()).max(2)),
            }
        }
    }
    Ok(())
}

#[test]
fn readers_never_see_a_torn_or_a_thinned_state() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(RocksEngine::open(dir.path(), &RocksOptions::default()).unwrap());
    let mut store = Mvcc::open(Arc::clone(&engine)).unwrap();
    let mut batch = store.begin();
    batch.txn(&set_all(2), &NoLeases).unwrap();
    batch.commit().unwrap();
    let stop = AtomicBool::new(false);
    let compacted = AtomicI64::new(-1);
    let reader = store.reader();
    std::thread::scope(|scope| {
        for thread in 0..3i64 {
            let (reader, stop) = (reader.clone(), &stop);
            scope.spawn(move || {
                let mut n = thread;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let behind = (n * 7) % 40;
                    let revision = (reader.revision() - behind).max(2);
                    for _ in 0..100 {
                        check_get(&reader).unwrap();
                    }
                    let outcome = match n % 4 {
                        0 => check_range(&reader, 0),
                        1 => check_range(&reader, revision),
                        2 => check_events(&reader, revision),
                        _ => reader.hash_kv(revision).map(|hash| {
                            assert!(hash.compact_revision <= revision);
                        }),
                    };
                    match outcome {
                        // A compaction may overtake any reader of the past.
                        Ok(()) | Err(MvccError::Compacted) => {}
                        Err(e) => panic!("{e}"),
                    }
                }
            });
        }
        let (compacted, stop) = (&compacted, &stop);
        scope.spawn(move || {
            let mut done = -1;
            while !stop.load(Ordering::Relaxed) {
                let to = compacted.load(Ordering::SeqCst);
                if to > done {
                    engine.reclaim(to).unwrap();
                    done = to;
                }
                std::thread::yield_now();
            }
        });
        let end = Instant::now() + RUN_TIME;
        while Instant::now() < end {
            let mut batch = store.begin();
            for _ in 0..3 {
                let revision = batch.revision();
                batch.txn(&set_all(revision + 1), &NoLeases).unwrap();
            }
            let revision = batch.revision();
            if revision % 10 == 0 {
                batch.compact(revision - 15).ok();
            }
            batch.commit().unwrap();
            compacted.store(store.compacted(), Ordering::SeqCst);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(store.revision() > 30, "made progress");
    check_range(&reader, 0).unwrap();
}
