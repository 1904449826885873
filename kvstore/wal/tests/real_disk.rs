//! The log with its threads on a real file system.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use common::{entry, id, read_all};
use mainstay_wal::disk::Crash;
use mainstay_wal::{MemDisk, Options, OsDisk, Verdict, Wal, WalError};

const DEADLINE: Duration = Duration::from_secs(20);

fn must_not_fail() -> mainstay_wal::OnFatal {
    Box::new(|error| panic!("fatal: {error}"))
}

fn small() -> Options {
    Options {
        segment_bytes: 64 << 10,
        tail_bytes: 16 << 10,
        ..Options::default()
    }
}

/// Waits until `condition` holds.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited too long for: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn many_appenders_readers_and_a_purger() {
    const APPENDERS: u64 = 8;
    const EACH: u64 = 400;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wal");
    let (wal, recovered) = Wal::open(OsDisk, &path, small(), must_not_fail()).unwrap();
    assert_eq!(recovered.verdict, Verdict::Intact);
    let next = Mutex::new(1);
    let durable = Arc::new(AtomicU64::new(0));
    let finished = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let appenders: Vec<_> = (0..APPENDERS)
            .map(|appender| {
                let (wal, next, durable) = (&wal, &next, durable.clone());
                scope.spawn(move || {
                    for round in 0..EACH {
                        let (sender, receiver) = mpsc::channel();
                        {
                            let mut next = next.lock().unwrap();
                            let index = *next;
                            let len = if round % 50 == 7 {
                                9_000
                            } else {
                                20 * appender as usize
                            };
                            let durable = durable.clone();
                            let done = Box::new(move |result: Result<(), WalError>| {
                                result.unwrap();
                                assert_eq!(durable.swap(index, SeqCst), index - 1, "out of order");
                                sender.send(()).unwrap();
                            });
                            wal.append(vec![entry(1, index, len)], done).unwrap();
                            *next += 1;
                        }
                        receiver.recv_timeout(DEADLINE).unwrap();
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut at = 1;
            while !finished.load(SeqCst) {
                let state = wal.state();
                at = if at >= state.next_index {
                    state.first_index
                } else {
                    at
                };
                let entries = wal.read(at..state.next_index, 4 << 10).unwrap();
                for entry in &entries {
                    let len = entry.payload.len();
                    assert_eq!(*entry, common::entry(1, entry.id.index, len));
                }
                at = entries
                    .last()
                    .map_or(state.next_index, |entry| entry.id.index + 1);
                wal.log_id(at / 2).unwrap();
            }
        });
        scope.spawn(|| {
            while !finished.load(SeqCst) {
                let reached = durable.load(SeqCst);
                if reached > 300 && wal.state().first_index < reached - 200 {
                    wal.save_committed(id(1, reached));
                    wal.purge(id(1, reached - 100), Box::new(|result| result.unwrap()));
                }
                std::thread::yield_now();
            }
        });
        for appender in appenders {
            appender.join().unwrap();
        }
        finished.store(true, SeqCst);
    });
    let total = APPENDERS * EACH;
    let stats = wal.stats();
    assert_eq!(stats.entries, total);
    assert!(stats.syncs < total + total / 10, "{stats:?}");
    assert_eq!(stats.queued_bytes, 0);
    let kept = read_all(&wal);
    wal.close().unwrap();
    assert!(matches!(
        wal.append(Vec::new(), Box::new(|_| {})),
        Err(WalError::Closed)
    ));
    drop(wal);
    let files = std::fs::read_dir(&path).unwrap().count();
    assert!(files < 20, "{files} files are left");
    let (wal, recovered) = Wal::open(OsDisk, &path, small(), must_not_fail()).unwrap();
    assert_eq!(recovered.verdict, Verdict::Intact);
    assert_eq!(recovered.last, Some(id(1, total)));
    assert!(recovered.committed.is_some());
    assert_eq!(read_all(&wal), kept);
}

#[test]
fn two_processes_cannot_share_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = Wal::open(OsDisk, dir.path(), small(), must_not_fail()).unwrap();
    let second = Wal::open(OsDisk, dir.path(), small(), must_not_fail());
    assert!(matches!(second, Err(WalError::Io { .. })));
    drop(wal);
    Wal::open(OsDisk, dir.path(), small(), must_not_fail()).unwrap();
}

#[test]
fn batches_form_while_the_disk_is_busy() {
    let disk = MemDisk::new(1);
    let options = Options {
        segment_bytes: 1 << 20,
        ..Options::default()
    };
    let (wal, _) = Wal::open(disk.clone(), "/wal", options, must_not_fail()).unwrap();
    disk.hold_syncs(true);
    let answered = Arc::new(AtomicU64::new(0));
    for index in 1..=1_000 {
        let answered = answered.clone();
        let done = Box::new(move |result: Result<(), WalError>| {
            result.unwrap();
            answered.fetch_add(1, SeqCst);
        });
        wal.append(vec![entry(1, index, 10)], done).unwrap();
    }
    eventually("a stalled disk to show", || {
        wal.oldest_unsynced()
            .is_some_and(|age| age > Duration::from_millis(20))
    });
    assert_eq!(answered.load(SeqCst), 0);
    disk.hold_syncs(false);
    eventually("all answers", || answered.load(SeqCst) == 1_000);
    eventually("an idle log", || wal.oldest_unsynced().is_none());
    assert!(wal.stats().syncs <= 2 + 2, "{:?}", wal.stats());
    wal.close().unwrap();
}

#[test]
fn a_failure_answers_everybody_and_is_reported_once() {
    let disk = MemDisk::new(2);
    let fatal = Arc::new(AtomicU64::new(0));
    let counter = fatal.clone();
    let on_fatal = Box::new(move |_: &WalError| {
        counter.fetch_add(1, SeqCst);
    });
    let (wal, _) = Wal::open(disk.clone(), "/wal", small(), on_fatal).unwrap();
    disk.hold_syncs(true);
    let (sender, receiver) = mpsc::channel();
    for index in 1..=50 {
        let sender = sender.clone();
        let done = Box::new(move |result: Result<(), WalError>| {
            sender.send(result.is_err()).unwrap();
        });
        wal.append(vec![entry(1, index, 10)], done).unwrap();
    }
    disk.crash(Crash::Power);
    for _ in 0..50 {
        assert!(receiver.recv_timeout(DEADLINE).unwrap());
    }
    eventually("the report", || fatal.load(SeqCst) == 1);
    assert!(matches!(wal.close(), Err(WalError::Failed(_))));
    assert_eq!(fatal.load(SeqCst), 1);
}

#[test]
fn a_panicking_completion_is_a_failure_not_a_hang() {
    let fatal = Arc::new(AtomicU64::new(0));
    let counter = fatal.clone();
    let on_fatal = Box::new(move |_: &WalError| {
        counter.fetch_add(1, SeqCst);
    });
    let (wal, _) = Wal::open(MemDisk::new(3), "/wal", small(), on_fatal).unwrap();
    wal.append(vec![entry(1, 1, 10)], Box::new(|_| panic!("on purpose")))
        .unwrap();
    eventually("the report", || fatal.load(SeqCst) == 1);
    assert!(wal.append(vec![entry(1, 2, 10)], Box::new(|_| {})).is_err());
    assert!(wal.close().is_err());
}

#[test]
fn the_log_may_be_dropped_by_its_own_completion() {
    let (wal, _) = Wal::open(MemDisk::new(4), "/wal", small(), must_not_fail()).unwrap();
    let wal = Arc::new(wal);
    let (last, (sender, receiver)) = (wal.clone(), mpsc::channel());
    let done = Box::new(move |_| {
        drop(last);
        sender.send(()).unwrap();
    });
    wal.append(vec![entry(1, 1, 10)], done).unwrap();
    drop(wal);
    receiver.recv_timeout(DEADLINE).unwrap();
}
