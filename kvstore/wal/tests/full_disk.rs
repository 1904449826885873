//! A disk without room: nothing is acknowledged, nothing is lost, and the log goes on when there is room.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod common;

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use common::{DIR, Run, entry, open, options};
use mainstay_wal::disk::{Crash, OpKind};
use mainstay_wal::{MemDisk, Verdict, Wal, WalError};

/// Two segments and the witness, and a little more.
const SMALL: u64 = 2 * 2048 + 8192 + 600;

/// Appends until an operation is held up.
fn fill(run: &mut Run) -> usize {
    for appended in 1..100 {
        run.append(1, 100);
        match run.driver.step() {
            Ok(_) => run.driver.keep().unwrap(),
            Err(WalError::Full) => return appended,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the disk never filled up");
}

#[test]
fn it_is_announced_before_anything_waits() {
    let disk = MemDisk::new(15);
    let mut run = open(&disk).unwrap();
    run.settle();
    disk.set_capacity(Some(SMALL));
    let mut announced_at = None;
    for appended in 1.. {
        run.append(1, 100);
        let full = run.driver.step().is_err();
        run.driver.keep().unwrap();
        if run.wal.stats().no_space {
            announced_at.get_or_insert(appended);
        }
        if full {
            assert!(announced_at.unwrap() + 2 < appended);
            assert_eq!(run.acknowledged() + 1, appended);
            break;
        }
    }
    assert_eq!(run.failures(), 0);
}

#[test]
fn what_waits_is_written_when_there_is_room() {
    let disk = MemDisk::new(16);
    let mut run = open(&disk).unwrap();
    run.settle();
    disk.set_capacity(Some(SMALL));
    let appended = fill(&mut run);
    assert!(run.wal.stats().full);
    assert!(run.wal.oldest_unsynced().is_some());
    // More comes in, of every kind, and waits behind it.
    run.append(3, 100);
    run.vote(7);
    assert!(matches!(run.driver.step(), Err(WalError::Full)));
    assert_eq!(run.acknowledged(), appended - 1);
    disk.set_capacity(None);
    run.settle();
    assert!(!run.wal.stats().full);
    assert!(run.wal.oldest_unsynced().is_none());
    assert_eq!(run.acknowledged(), appended + 2);
    assert_eq!(run.failures(), 0);
    let model = run.model().clone();
    drop(run);
    disk.crash(Crash::PowerNothingKept);
    let run = open(&disk).unwrap();
    assert_eq!(run.recovered.verdict, Verdict::Intact);
    assert_eq!(run.model(), &model);
}

#[test]
fn a_purge_makes_room_for_what_waits() {
    let disk = MemDisk::new(17);
    let mut run = open(&disk).unwrap();
    run.settle();
    disk.set_capacity(Some(SMALL + 2048));
    for _ in 0..25 {
        run.append(1, 100);
        run.settle();
    }
    let purged = run.model().entries[20].id;
    run.purge(purged);
    run.settle();
    for _ in 0..12 {
        run.append(1, 100);
        run.settle();
    }
    assert_eq!(run.failures(), 0);
}

/// The write itself finds no room, as where a file system does not write in place: a part may be there.
#[test]
fn a_write_cut_short_is_written_again() {
    for crash in [None, Some(Crash::Process), Some(Crash::Power)] {
        for seed in 0..50 {
            let disk = MemDisk::new(seed);
            let mut run = open(&disk).unwrap();
            for _ in 0..5 {
                run.append(2, 60);
                run.settle();
            }
            disk.fail(OpKind::Write, 0, ErrorKind::StorageFull);
            run.append(3, 80);
            assert!(matches!(run.driver.step(), Err(WalError::Full)));
            let acknowledged = run.acknowledged();
            assert_eq!(acknowledged, 5);
            let Some(crash) = crash else {
                run.settle();
                assert_eq!(run.acknowledged(), 6);
                continue;
            };
            let possible = run.possible().to_vec();
            drop(run);
            disk.crash(crash);
            let run = open(&disk).unwrap();
            assert!(!matches!(run.recovered.verdict, Verdict::Damaged(_)));
            assert!(possible.contains(run.model()));
        }
    }
}

#[test]
fn every_step_may_find_no_room() {
    let kinds = [
        OpKind::Create,
        OpKind::Allocate,
        OpKind::Write,
        OpKind::Rename,
    ];
    for (seed, kind) in (0..40).flat_map(|after| kinds.map(|kind| (after, kind))) {
        let disk = MemDisk::new(seed);
        let mut run = open(&disk).unwrap();
        for round in 0..30 {
            if round == 3 {
                disk.fail(kind, seed % 10, ErrorKind::StorageFull);
            }
            run.append(1 + round % 3, 200);
            if round % 7 == 6 {
                let at = run.model().entries.len() / 2;
                let upto = run.model().entries[at].id;
                run.purge(upto);
            }
            let _ = run.driver.step();
            if let Err(error) = run.driver.keep() {
                panic!("{kind:?} {seed}: {error}");
            }
        }
        while matches!(run.driver.step(), Err(WalError::Full)) {}
        assert_eq!(run.failures(), 0, "{kind:?} {seed}");
        assert_eq!(run.acknowledged(), run.history.len() - 1);
        let model = run.model().clone();
        drop(run);
        disk.crash(Crash::Power);
        let run = open(&disk).unwrap();
        assert_eq!(run.recovered.verdict, Verdict::Intact, "{kind:?} {seed}");
        assert_eq!(run.model(), &model);
    }
}

#[test]
fn a_failed_sync_is_final_even_if_it_says_full() {
    let disk = MemDisk::new(18);
    let mut run = open(&disk).unwrap();
    run.append(1, 100);
    disk.fail(OpKind::Sync, 0, ErrorKind::StorageFull);
    assert!(matches!(run.driver.step(), Err(WalError::Failed(_))));
    assert_eq!((run.failures(), run.acknowledged()), (1, 0));
    assert!(run.driver.step().is_err());
}

#[test]
fn threads_wait_for_room_and_can_be_closed() {
    let disk = MemDisk::new(19);
    let fatal = Box::new(|error: &WalError| assert!(matches!(error, WalError::Full)));
    let (wal, _) = Wal::open(disk.clone(), DIR, options(), fatal).unwrap();
    disk.set_capacity(Some(SMALL));
    let done = Arc::new(AtomicUsize::new(0));
    let append = |index: u64| {
        let done = done.clone();
        let counted = Box::new(move |result: Result<(), WalError>| {
            done.fetch_add(usize::from(result.is_ok()), SeqCst);
        });
        wal.append(vec![entry(1, index, 100)], counted).unwrap();
    };
    let until = |condition: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < deadline, "{:?}", wal.stats());
            std::thread::yield_now();
        }
    };
    for index in 1..=100 {
        append(index);
    }
    until(&|| wal.stats().full);
    assert!(done.load(SeqCst) < 100);
    disk.set_capacity(None);
    until(&|| done.load(SeqCst) == 100 && !wal.stats().full);
    disk.set_capacity(Some(0));
    for index in 101..=200 {
        append(index);
    }
    until(&|| wal.stats().full);
    let before = done.load(SeqCst);
    assert!(matches!(wal.close(), Err(WalError::Full)));
    assert!(before < 200 && done.load(SeqCst) == before);
    drop(wal);
    disk.crash(Crash::Process);
    disk.set_capacity(None);
    let run = open(&disk).unwrap();
    assert_eq!(run.model().entries.len(), before);
}

#[test]
fn what_is_on_disk_is_known_by_segment() {
    let disk = MemDisk::new(20);
    let mut run = open(&disk).unwrap();
    run.settle();
    assert_eq!(run.wal.index_within(u64::MAX), None);
    for _ in 0..40 {
        run.append(1, 200);
        run.settle();
    }
    assert_eq!(run.wal.disk_bytes() % 2048, 0);
    assert_eq!(run.wal.index_within(u64::MAX), Some(1));
    let recent = run.wal.index_within(3 * 2048).unwrap();
    assert!((15..40).contains(&recent), "{recent}");
    assert!(run.wal.index_within(0).unwrap() > recent);
}
