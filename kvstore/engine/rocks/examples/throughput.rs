//! What the store costs on RocksDB: CPU and wall time per operation.
//!
//! `cargo run --release -p mainstay-engine-rocks --example throughput -- [keys] [dir]`

#![expect(clippy::print_stdout, reason = "a command-line program")]

use bytes::Bytes;
use mainstay_engine::Engine;
use mainstay_engine_rocks::{RocksEngine, RocksOptions};
use mainstay_mvcc::{LeaseLookup, Mvcc, MvccError};
use mainstay_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::{Compare, PutRequest, RangeRequest, RequestOp, TxnRequest};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

const BATCH: usize = 100;
const VALUE_BYTES: usize = 256;

struct NoLeases;

impl LeaseLookup for NoLeases {
    fn exists(&self, _id: i64) -> bool {
        false
    }
}

/// CPU time of the whole process in microseconds, background threads included.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let field = |n: usize| {
        after
            .split_whitespace()
            .nth(n)
            .and_then(|f| f.parse::<u64>().ok())
    };
    // Ticks of 10 ms; fields 14 and 15 of the line, counted from the state.
    (field(11).unwrap_or(0) + field(12).unwrap_or(0)) * 10_000
}

fn measure(
    name: &str,
    ops: usize,
    f: impl FnOnce() -> Result<(), MvccError>,
) -> Result<(), MvccError> {
    let (cpu, wall) = (cpu_us(), Instant::now());
    f()?;
    let (cpu, wall) = (cpu_us() - cpu, wall.elapsed());
    println!(
        "{name:<42} {ops:>9} ops {:>10.0} op/s {:>8.2} us wall/op {:>8.2} us cpu/op",
        ops as f64 / wall.as_secs_f64(),
        wall.as_micros() as f64 / ops as f64,
        cpu as f64 / ops as f64,
    );
    Ok(())
}

fn key(n: usize) -> Bytes {
    Bytes::from(format!("/registry/pods/default/{n:010}"))
}

/// Scatters 0..keys.
fn scattered(n: usize, keys: usize) -> usize {
    n.wrapping_mul(2_654_435_761) % keys
}

fn value(n: usize) -> Bytes {
    let mut state = n as u64 + 1;
    let mut out = Vec::with_capacity(VALUE_BYTES);
    while out.len() < VALUE_BYTES {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        out.extend_from_slice(&state.to_be_bytes()[..4]);
        out.extend_from_slice(b"text");
    }
    Bytes::from(out)
}

fn puts(
    store: &mut Mvcc<RocksEngine>,
    requests: impl Iterator<Item = PutRequest>,
) -> Result<(), MvccError> {
    let mut requests = requests.peekable();
    while requests.peek().is_some() {
        let mut batch = store.begin();
        for r in requests.by_ref().take(BATCH) {
            batch.put(&r, &NoLeases)?;
        }
        batch.commit()?;
    }
    Ok(())
}

/// What Kubernetes does to update an object.
fn guarded_update(key: Bytes, value: Bytes, revision: i64) -> TxnRequest {
    let range = RangeRequest {
        key: key.clone(),
        ..Default::default()
    };
    TxnRequest {
        compare: vec![Compare {
            result: CompareResult::Equal as i32,
            target: CompareTarget::Mod as i32,
            key: key.clone(),
            range_end: Bytes::new(),
            target_union: Some(TargetUnion::ModRevision(revision)),
        }],
        success: vec![RequestOp {
            request: Some(Request::RequestPut(PutRequest {
                key,
                value,
                ..Default::default()
            })),
        }],
        failure: vec![RequestOp {
            request: Some(Request::RequestRange(range)),
        }],
    }
}

fn main() -> Result<(), MvccError> {
    let mut args = std::env::args().skip(1);
    let keys: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let dir = args.next().map_or_else(
        || std::env::temp_dir().join(format!("mainstay-throughput-{}", std::process::id())),
        PathBuf::from,
    );
    let engine = Arc::new(RocksEngine::open(&dir, &RocksOptions::default())?);
    let mut store = Mvcc::open(Arc::clone(&engine))?;
    let request = |n: usize, seed: usize| PutRequest {
        key: key(scattered(n, keys)),
        value: value(n + seed),
        ..Default::default()
    };
    measure("generate requests only", keys, || {
        for n in 0..keys {
            std::hint::black_box(request(n, 0));
        }
        Ok(())
    })?;
    measure("put new, batches of 100", keys, || {
        puts(&mut store, (0..keys).map(|n| request(n, 0)))
    })?;
    measure("put overwrite, batches of 100", keys, || {
        puts(&mut store, (0..keys).map(|n| request(n, keys)))
    })?;
    let hot = keys.min(1000);
    measure("put overwrite of 1000 hot keys", keys, || {
        puts(
            &mut store,
            (0..keys).map(|n| PutRequest {
                key: key(n % hot),
                ..request(n, 7)
            }),
        )
    })?;
    measure("guarded update txn, batches of 100", keys, || {
        for start in (0..keys).step_by(BATCH) {
            let mut batch = store.begin();
            for n in start..keys.min(start + BATCH) {
                batch.txn(&guarded_update(key(n % keys), value(n), 3), &NoLeases)?;
            }
            batch.commit()?;
        }
        Ok(())
    })?;

    let reader = store.reader();
    let get = |n: usize, revision: i64| RangeRequest {
        key: key(scattered(n, keys)),
        revision,
        ..Default::default()
    };
    measure("get present", keys, || {
        for n in 0..keys {
            assert_eq!(reader.range(&get(n, 0))?.count, 1);
        }
        Ok(())
    })?;
    measure("get absent", keys, || {
        for n in 0..keys {
            let mut r = get(n, 0);
            r.key = Bytes::from([&r.key[..], b"x"].concat());
            assert_eq!(reader.range(&r)?.count, 0);
        }
        Ok(())
    })?;
    let old = keys as i64 + 1;
    measure("get at an old revision", keys, || {
        for n in 0..keys {
            assert_eq!(reader.range(&get(n, old))?.count, 1);
        }
        Ok(())
    })?;
    let range = |from: usize, count: usize, revision: i64| RangeRequest {
        key: key(from),
        range_end: key(from + count),
        revision,
        ..Default::default()
    };
    for count in [1000, 10_000] {
        let rounds = 100;
        measure(
            &format!("range of {count} (per key)"),
            rounds * count,
            || {
                for n in 0..rounds {
                    let from = scattered(n, keys - count);
                    assert_eq!(reader.range(&range(from, count, 0))?.count, count as i64);
                }
                Ok(())
            },
        )?;
        measure(
            &format!("range of {count}, old revision (per key)"),
            rounds * count,
            || {
                for n in 0..rounds {
                    let from = scattered(n, keys - count);
                    assert_eq!(reader.range(&range(from, count, old))?.count, count as i64);
                }
                Ok(())
            },
        )?;
    }
    measure("count only, all keys (per key)", keys, || {
        let all = RangeRequest {
            count_only: true,
            ..range(0, keys, 0)
        };
        assert_eq!(reader.range(&all)?.count, keys as i64);
        Ok(())
    })?;
    measure("events, with previous values (per event)", keys, || {
        let mut from = old + 1;
        let mut seen = 0;
        while seen < keys {
            let events = reader.events(from, 1000, 1 << 20)?;
            let Some(last) = events.last() else { break };
            from = last.revision + 1;
            seen += events.len();
        }
        Ok(())
    })?;
    measure("hash", 1, || reader.hash_kv(0).map(|_| ()))?;
    println!("size before compaction {:?}", engine.size());
    let revision = store.revision();
    let mut batch = store.begin();
    batch.compact(revision)?;
    batch.commit()?;
    measure("reclaim", 1, || Ok(engine.reclaim(revision)?))?;
    println!("size after compaction {:?}", engine.size());
    drop((reader, store, engine));
    measure("open", 1, || {
        let engine = Arc::new(RocksEngine::open(&dir, &RocksOptions::default())?);
        Mvcc::open(engine).map(|_| ())
    })?;
    RocksEngine::destroy(&dir)?;
    let _ = std::fs::remove_dir(&dir);
    Ok(())
}
