//! Counts of many keys, which are not taken by reading all of them.

use super::*;
use mainstay_mvcc::limits::CountLimits;
use mainstay_mvcc::{CountStats, Reader};
use std::sync::atomic::{AtomicBool, Ordering};

const SMALL: CountLimits = CountLimits {
    interval_keys: 4,
    scan_first: 2,
    learn_keys: 8,
    log_events: 10_000,
};

fn key(n: usize) -> String {
    format!("{n:05}")
}

fn store_of(count: usize, limits: CountLimits) -> Store {
    let mut store = Mvcc::open_with(Arc::new(MemEngine::new()), limits).unwrap();
    put_all(&mut store, (0..count).map(|n| key(2 * n)));
    store
}

fn put_all(store: &mut Store, keys: impl Iterator<Item = String>) {
    let mut batch = store.begin();
    for key in keys {
        batch.put(&put_of(&key, "v"), &NO_LEASES).unwrap();
    }
    batch.commit().unwrap();
}

fn counted(reader: &Reader<MemEngine>, r: &RangeRequest) -> Result<[i64; 3], MvccError> {
    let limited = RangeRequest {
        limit: 1,
        ..r.clone()
    };
    let count_only = RangeRequest {
        count_only: true,
        ..r.clone()
    };
    let mut chunks = reader.range_chunks(&limited)?;
    let chunk = chunks.next_chunk(10, 1 << 20)?.unwrap();
    Ok([
        reader.range(&limited)?.count,
        reader.range(&count_only)?.count,
        chunk.count,
    ])
}

/// Counts in every way, at every revision given.
fn check(store: &Store, start: &str, end: &str, revisions: &[i64]) {
    for &revision in revisions {
        let r = RangeRequest {
            revision,
            ..range_of(start, end)
        };
        let all = range(store, &r).unwrap().kvs.len() as i64;
        let got = counted(&store.reader(), &r).unwrap();
        assert_eq!(got, [all; 3], "{start:?} to {end:?} at {revision}");
    }
}

fn check_many(store: &Store, revisions: &[i64]) {
    for start in ["\0", "00000", "00001", "00033", "00100", "00399", "5"] {
        for end in ["\0", "00034", "00036", "00101", "00150", "00300", "4", "9"] {
            check(store, start, end, revisions);
        }
    }
}

fn stats(store: &Store) -> CountStats {
    store.reader().count_stats()
}

#[test]
fn the_table_is_built_by_the_first_long_count_and_used_by_the_next() {
    let store = store_of(200, SMALL);
    check(&store, "00390", "\0", &[0]);
    assert_eq!(stats(&store), CountStats::default(), "few keys");
    check(&store, "\0", "\0", &[0]);
    let after = stats(&store);
    assert!(after.from_table > 0 && after.learned > 0, "{after:?}");
    check_many(&store, &[0]);
    assert_eq!(stats(&store).from_log, 0);
}

#[test]
fn creations_split_and_deletes_of_whole_intervals_merge() {
    let mut store = store_of(200, SMALL);
    check_many(&store, &[0]);
    let before = store.revision();
    let learned = stats(&store).learned;
    put_all(&mut store, (40..140).map(|n| key(2 * n + 1)));
    check_many(&store, &[0, before, before + 50]);
    assert!(stats(&store).learned > learned, "long intervals were cut");
    let full = store.revision();
    delete(&mut store, "00034", "00301");
    check_many(&store, &[0, before, full]);
    delete(&mut store, "\0", "\0");
    check_many(&store, &[0, full]);
    assert_eq!(range(&store, &range_of("\0", "\0")).unwrap().count, 0);
    put_all(&mut store, (0..150).map(key));
    check_many(&store, &[0, before, full, full + 1]);
}

#[test]
fn overwrites_and_recreations_in_one_batch_count_once() {
    let mut store = store_of(100, SMALL);
    check_many(&store, &[0]);
    let before = store.revision();
    let mut batch = store.begin();
    batch.put(&put_of("00000", "w"), &NO_LEASES).unwrap();
    batch.put(&put_of("00001", "new"), &NO_LEASES).unwrap();
    batch.delete_range(&delete_of("00001", "00041")).unwrap();
    batch.put(&put_of("00007", "new"), &NO_LEASES).unwrap();
    batch.put(&put_of("00010", "again"), &NO_LEASES).unwrap();
    batch.delete_range(&delete_of("00007", "")).unwrap();
    let twice = success(vec![delete_op("00100", "\0"), put_op("00102")]);
    batch.txn(&twice, &NO_LEASES).unwrap();
    batch.commit().unwrap();
    let revisions: Vec<i64> = (before..=store.revision()).collect();
    check_many(&store, &revisions);
    // 00000, 00010, 00042 to 00098, 00102.
    assert_eq!(range(&store, &range_of("\0", "\0")).unwrap().count, 32);
}

#[test]
fn transactions_count_what_they_did_before() {
    let mut store = store_of(100, SMALL);
    check(&store, "\0", "\0", &[0]);
    let limited = RangeRequest {
        limit: 1,
        ..range_of("00000", "\0")
    };
    let r = success(vec![
        range_op(limited.clone()),
        put_op("00001"),
        put_op("00002"),
        delete_op("00050", "00061"),
        range_op(limited),
    ]);
    let mut batch = store.begin();
    batch.put(&put_of("00003", ""), &NO_LEASES).unwrap();
    let response = batch.txn(&r, &NO_LEASES).unwrap();
    batch.commit().unwrap();
    let counts: Vec<i64> = response
        .responses
        .iter()
        .filter_map(|r| match &r.response {
            Some(Response::ResponseRange(r)) => Some(r.count),
            _ => None,
        })
        .collect();
    assert_eq!(counts, [101, 96]);
    assert!(stats(&store).from_table > 1);
    check_many(&store, &[0]);
}

#[test]
fn old_revisions_are_counted_by_the_log_until_it_is_too_long_or_compacted() {
    let limits = CountLimits {
        log_events: 20,
        ..SMALL
    };
    let mut store = store_of(200, limits);
    check(&store, "\0", "\0", &[0]);
    let before = store.revision();
    put_all(&mut store, (0..20).map(|n| key(2 * n + 1)));
    check_many(&store, &[before]);
    let from_log = stats(&store).from_log;
    assert!(from_log > 0);
    put(&mut store, "6", "");
    check_many(&store, &[before]);
    assert_eq!(stats(&store).from_log, from_log, "21 revisions");
    let middle = before + 10;
    compact(&mut store, middle).unwrap();
    store.engine().reclaim(middle).unwrap();
    check_many(&store, &[middle, middle + 1, 0]);
    assert!(stats(&store).from_log > from_log);
}

#[test]
fn default_limits_split_a_growing_end() {
    let mut store = store_of(3000, CountLimits::default());
    check(&store, "00010", "\0", &[0]);
    check(&store, "00020", "05000", &[0, store.revision() - 100]);
    put_all(&mut store, (3000..9000).map(|n| key(2 * n)));
    let learned = stats(&store).learned;
    check(&store, "00020", "17000", &[0, store.revision() - 3000]);
    assert!(stats(&store).learned > learned);
    let before = stats(&store);
    check(&store, "07000", "16000", &[0]);
    assert_eq!(stats(&store).learned, before.learned);
    assert!(stats(&store).from_table > before.from_table);
}

/// A small generator, so that the threads do something else every time and the same in every run.
fn next(state: &mut u64) -> usize {
    *state = state
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    (*state >> 33) as usize
}

fn read_beside(reader: &Reader<MemEngine>, seed: u64, done: &AtomicBool) -> usize {
    let mut state = seed;
    let mut rounds = 0;
    while !done.load(Ordering::SeqCst) {
        let (a, b) = (key(next(&mut state) % 4000), key(next(&mut state) % 4000));
        let end = if next(&mut state).is_multiple_of(3) {
            "\0"
        } else {
            &b
        };
        let back = [0, 0, 1, 5, 40][next(&mut state) % 5];
        let r = RangeRequest {
            limit: 2,
            revision: if back == 0 {
                0
            } else {
                reader.revision() - back
            },
            ..range_of(&a, end)
        };
        let Ok(response) = reader.range(&r) else {
            continue;
        };
        let at = match r.revision {
            0 => response.header.unwrap().revision,
            revision => revision,
        };
        let all = RangeRequest {
            limit: 0,
            revision: at,
            ..r
        };
        if let Ok(all) = reader.range(&all) {
            assert_eq!(response.count, all.kvs.len() as i64, "{a} to {end} at {at}");
            rounds += 1;
        }
    }
    rounds
}

#[test]
fn readers_beside_the_writer_get_counts_of_their_own_revision() {
    for limits in [SMALL, CountLimits::default()] {
        let mut store = store_of(2000, limits);
        let done = &AtomicBool::new(false);
        let readers = [store.reader(), store.reader(), store.reader()];
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1u64..)
                .zip(&readers)
                .map(|(seed, reader)| scope.spawn(move || read_beside(reader, seed, done)))
                .collect();
            let mut state = 99;
            for round in 0..3000i64 {
                let mut batch = store.begin();
                for _ in 0..1 + next(&mut state) % 4 {
                    let n = next(&mut state) % 4000;
                    if next(&mut state).is_multiple_of(4) {
                        let r = delete_of(&key(n), &key(n + next(&mut state) % 12));
                        batch.delete_range(&r).unwrap();
                    } else {
                        batch.put(&put_of(&key(n), "v"), &NO_LEASES).unwrap();
                    }
                }
                let revision = batch.revision();
                if round % 100 == 99 {
                    batch.compact(revision - 20).unwrap();
                }
                batch.commit().unwrap();
                if round % 100 == 99 {
                    store.engine().reclaim(revision - 20).unwrap();
                }
            }
            done.store(true, Ordering::SeqCst);
            for thread in threads {
                assert!(thread.join().unwrap() > 0);
            }
        });
        let stats = stats(&store);
        assert!(stats.from_table > 10 && stats.from_log > 0, "{stats:?}");
        check_many(&store, &[0]);
    }
}
