//! Named situations, one each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod common;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use common::{DIR, Run, entry, id, is_damaged, open, open_with, options, read_all, segment, used};
use mainstay_wal::disk::{Crash, OpKind};
use mainstay_wal::{Damage, DamageKind, Disk, MemDisk, Options, Verdict, Wal, WalError};

fn ignore() -> mainstay_wal::Done {
    Box::new(|_| {})
}

/// Three batches of one entry each in one segment; the offsets where each begins.
fn three_batches(disk: &MemDisk) -> (Run, Vec<usize>) {
    let mut run = open(disk).unwrap();
    let mut starts = Vec::new();
    for _ in 0..3 {
        starts.push(used(disk, 1));
        run.append(1, 50);
        run.settle();
    }
    (run, starts)
}

fn damage_of(run: &Run) -> Damage {
    match &run.recovered.verdict {
        Verdict::Damaged(damage) => *damage,
        other => panic!("not damaged: {other:?}"),
    }
}

#[test]
fn a_fresh_log_is_intact_and_empty() {
    let run = open(&MemDisk::new(0)).unwrap();
    assert_eq!(run.recovered.verdict, Verdict::Intact);
    assert!(!run.recovered.witness_missing);
    assert_eq!(run.wal.state().last, None);
    assert!(run.wal.read(0..10, 100).unwrap().is_empty());
}

#[test]
fn torn_tail_is_dropped() {
    let disk = MemDisk::new(1);
    let (mut run, _) = three_batches(&disk);
    let before = used(&disk, 1);
    run.append(1, 50);
    disk.fail(OpKind::Sync, 0, ErrorKind::Other);
    assert!(run.driver.step().is_err());
    drop(run);
    disk.crash(Crash::Process);
    // Only the first 70 of 112 bytes made it.
    disk.damage(&segment(1), |bytes| bytes[before + 70..].fill(0));
    let run = open(&disk).unwrap();
    assert!(matches!(
        run.recovered.verdict,
        Verdict::TornTail {
            dropped_bytes: 64..=112
        }
    ));
    assert_eq!(run.recovered.last, Some(id(1, 3)));
    drop(run);
    disk.crash(Crash::PowerNothingKept);
    assert_eq!(open(&disk).unwrap().recovered.verdict, Verdict::Intact);
}

#[test]
fn damage_in_the_last_acknowledged_batch_is_told_by_the_witness() {
    let disk = MemDisk::new(2);
    let (run, starts) = three_batches(&disk);
    drop(run);
    disk.crash(Crash::Process);
    // Exactly what a torn write would look like.
    disk.damage(&segment(1), |bytes| bytes[starts[2] + 30..].fill(0));
    let run = open(&disk).unwrap();
    let damage = damage_of(&run);
    assert_eq!((damage.segment, damage.offset as usize), (1, starts[2]));
    assert_eq!(damage.first_lost_index, 3);
    assert_eq!(run.recovered.last, Some(id(1, 2)));
    assert_eq!(read_all(&run.wal).len(), 2);
}

#[test]
fn damage_before_a_later_batch_needs_no_witness() {
    let disk = MemDisk::new(3);
    let (run, starts) = three_batches(&disk);
    drop(run);
    disk.crash(Crash::Process);
    disk.remove(Path::new("/data/wal.durable"));
    disk.damage(&segment(1), |bytes| bytes[starts[1] + 60] ^= 1);
    let run = open(&disk).unwrap();
    assert!(run.recovered.witness_missing);
    assert_eq!(damage_of(&run).what, DamageKind::Record);
    assert_eq!(damage_of(&run).first_lost_index, 2);
}

#[test]
fn a_log_shorter_than_the_witness_is_damaged() {
    let disk = MemDisk::new(4);
    let (run, starts) = three_batches(&disk);
    drop(run);
    disk.crash(Crash::Process);
    disk.damage(&segment(1), |bytes| bytes[starts[1]..].fill(0));
    let run = open(&disk).unwrap();
    assert_eq!(damage_of(&run).what, DamageKind::Short);
    assert_eq!(damage_of(&run).first_lost_index, 2);
}

#[test]
fn a_missing_log_with_a_witness_is_damaged() {
    let disk = MemDisk::new(5);
    let (mut run, _) = three_batches(&disk);
    run.vote(4);
    run.settle();
    drop(run);
    disk.crash(Crash::Process);
    for path in disk.files() {
        if path.starts_with(DIR) {
            disk.remove(&path);
        }
    }
    let run = open(&disk).unwrap();
    assert_eq!(damage_of(&run).what, DamageKind::LogMissing);
    assert_eq!(run.recovered.last, None);
    // The vote is known from the witness.
    assert_eq!(run.recovered.vote.as_deref(), Some(&[4; 4][..]));
    drop(run);
    disk.crash(Crash::Process);
    assert!(is_damaged(&open(&disk).unwrap().recovered));
}

#[test]
fn a_lost_vote_is_damage() {
    let disk = MemDisk::new(6);
    let (mut run, _) = three_batches(&disk);
    let before = used(&disk, 1);
    run.vote(7);
    run.settle();
    drop(run);
    disk.crash(Crash::Process);
    disk.damage(&segment(1), |bytes| bytes[before..].fill(0));
    let run = open(&disk).unwrap();
    assert!(is_damaged(&run.recovered));
    assert_eq!(run.recovered.last, Some(id(1, 3)), "no entry is missing");
    assert_eq!(run.recovered.vote.as_deref(), Some(&[7; 7][..]));
}

#[test]
fn a_repaired_log_is_intact_again() {
    let disk = MemDisk::new(7);
    let (run, starts) = three_batches(&disk);
    drop(run);
    disk.crash(Crash::Process);
    disk.damage(&segment(1), |bytes| bytes[starts[1] + 60] ^= 1);
    let mut run = open(&disk).unwrap();
    assert_eq!(damage_of(&run).first_lost_index, 2);
    run.append(2, 50);
    run.settle();
    drop(run);
    disk.crash(Crash::Power);
    let mut run = open(&disk).unwrap();
    assert_eq!(
        damage_of(&run).first_lost_index,
        2,
        "supplied again, but nobody said so"
    );
    run.wal.mark_repaired(ignore());
    run.settle();
    drop(run);
    disk.crash(Crash::Power);
    let run = open(&disk).unwrap();
    assert_eq!(run.recovered.verdict, Verdict::Intact);
    assert_eq!(
        read_all(&run.wal),
        (1..4).map(|index| entry(1, index, 50)).collect::<Vec<_>>()
    );
}

#[test]
fn the_first_failed_sync_is_final() {
    let disk = MemDisk::new(8);
    let mut run = open(&disk).unwrap();
    run.append(1, 10);
    run.settle();
    run.append(1, 10);
    disk.fail(OpKind::Sync, 0, ErrorKind::Other);
    let told = Arc::new(AtomicUsize::new(0));
    let counter = told.clone();
    run.wal.save_vote(
        vec![1].into(),
        Box::new(move |result| {
            assert!(matches!(result, Err(WalError::Failed(_))));
            counter.fetch_add(1, SeqCst);
        }),
    );
    assert!(run.driver.step().is_err());
    assert_eq!(
        (run.acknowledged(), run.failures(), told.load(SeqCst)),
        (1, 1, 1)
    );
    let operations = disk.operations();
    let refused = run.wal.append(vec![entry(1, 3, 10)], ignore());
    assert!(matches!(refused, Err(WalError::Failed(_))));
    run.wal
        .purge(id(1, 1), Box::new(|result| assert!(result.is_err())));
    assert!(run.driver.step().is_err());
    assert!(run.driver.keep().is_err());
    assert_eq!(disk.operations(), operations, "the disk is left alone");
    assert_eq!(run.failures(), 1, "reported once");
}

#[test]
fn every_failed_operation_is_final_and_reported_once() {
    let kinds = [
        OpKind::Write,
        OpKind::Sync,
        OpKind::SyncDir,
        OpKind::Rename,
        OpKind::Create,
        OpKind::Unlink,
    ];
    for kind in kinds {
        for after in 0..6 {
            let disk = MemDisk::new(after);
            let mut run = open(&disk).unwrap();
            disk.fail(kind, after, ErrorKind::Other);
            for _ in 0..30 {
                run.append(2, 100);
                let _ = run.driver.step();
                let _ = run.driver.keep();
                if run.failures() == 0 && run.model().entries.len() > 6 {
                    let first = run.model().entries[4].id;
                    run.purge(first);
                }
            }
            assert!(run.failures() <= 1);
            let possible = run.possible().to_vec();
            drop(run);
            disk.crash(Crash::Power);
            let run = open(&disk).unwrap();
            assert!(possible.contains(run.model()), "{kind:?} {after}");
        }
    }
}

#[test]
fn purge_beyond_the_end_leaves_a_hole() {
    let disk = MemDisk::new(9);
    let mut run = open(&disk).unwrap();
    run.append(3, 20);
    run.settle();
    run.append(1, 20);
    run.purge(id(2, 100));
    assert_eq!(run.wal.state().last, Some(id(2, 100)));
    assert_eq!(run.wal.log_id(100).unwrap(), Some(id(2, 100)));
    assert_eq!(run.wal.log_id(3).unwrap(), None);
    let gap = run.wal.append(vec![entry(2, 5, 1)], ignore());
    assert!(matches!(
        gap,
        Err(WalError::Gap {
            expected: 101,
            got: 5
        })
    ));
    run.append(2, 20);
    run.settle();
    let model = run.model().clone();
    assert_eq!(read_all(&run.wal), model.entries);
    drop(run);
    disk.crash(Crash::PowerNothingKept);
    let run = open(&disk).unwrap();
    assert_eq!(run.model(), &model);
    assert_eq!(run.recovered.first, Some(id(1, 101)));
}

#[test]
fn an_empty_log_starts_anywhere_and_only_then() {
    let mut run = open(&MemDisk::new(10)).unwrap();
    run.wal
        .append(vec![entry(1, 0, 5), entry(1, 1, 5)], ignore())
        .unwrap();
    let gap = run.wal.append(vec![entry(1, 3, 5)], ignore());
    assert!(matches!(
        gap,
        Err(WalError::Gap {
            expected: 2,
            got: 3
        })
    ));
    let gap = run
        .wal
        .append(vec![entry(1, 2, 5), entry(1, 4, 5)], ignore());
    assert!(matches!(
        gap,
        Err(WalError::Gap {
            expected: 3,
            got: 4
        })
    ));
    run.wal.truncate_after(None, ignore());
    run.wal.append(vec![entry(1, 7, 5)], ignore()).unwrap();
    run.settle();
    assert_eq!(read_all(&run.wal), [entry(1, 7, 5)]);
}

#[test]
fn entries_are_readable_before_they_are_durable() {
    let disk = MemDisk::new(11);
    let mut run = open(&disk).unwrap();
    run.append(20, 200);
    assert_eq!(read_all(&run.wal).len(), 20);
    assert!(run.wal.oldest_unsynced().is_some());
    assert_eq!(run.acknowledged(), 0);
    run.settle();
    assert!(run.wal.oldest_unsynced().is_none());
    let reads = disk.operations();
    assert_eq!(
        run.wal.read(20..21, 0).unwrap().len(),
        1,
        "at least one, whatever the budget"
    );
    assert_eq!(disk.operations(), reads, "recent entries come from memory");
    assert_eq!(read_all(&run.wal), run.model().entries);
    assert!(disk.operations() > reads, "old entries come from disk");
    drop(run);
    disk.crash(Crash::Process);
    let run = open(&disk).unwrap();
    assert_eq!(
        run.wal.read(3..6, 1 << 20).unwrap(),
        (3..6).map(|i| entry(1, i, 200)).collect::<Vec<_>>()
    );
}

#[test]
fn a_truncated_entry_never_comes_back() {
    let disk = MemDisk::new(12);
    let mut run = open(&disk).unwrap();
    run.append(9, 90);
    run.driver.step().unwrap();
    // Both while the append is on its way and after it.
    run.append(3, 90);
    run.truncate(6);
    run.append(2, 70);
    run.truncate(1);
    run.settle();
    run.append(4, 250);
    run.settle();
    let model = run.model().clone();
    assert_eq!(read_all(&run.wal), model.entries);
    drop(run);
    disk.crash(Crash::Power);
    assert_eq!(open(&disk).unwrap().model(), &model);
}

/// An append that becomes durable after its entries were replaced says nothing about the new ones:
/// they stay in memory until they are durable themselves.
#[test]
fn replaced_entries_are_served_while_the_old_ones_are_being_written() {
    let disk = MemDisk::new(20);
    let on_fatal = Box::new(|_: &_| {});
    let (wal, mut driver, _) = Wal::open_manual(disk, DIR, options(), on_fatal).unwrap();
    let wal = Arc::new(wal);
    let replacing = wal.clone();
    let replace = Box::new(move |_| {
        replacing.truncate_after(Some(1), ignore());
        let entries = (2..10).map(|index| entry(2, index, 200)).collect();
        replacing.append(entries, ignore()).unwrap();
    });
    wal.append(vec![entry(1, 1, 900)], replace).unwrap();
    // Too much for the first segment: written and made durable after `replace` ran.
    wal.append(
        (2..10).map(|index| entry(1, index, 200)).collect(),
        ignore(),
    )
    .unwrap();
    for _ in 0..2 {
        assert!(driver.step().unwrap());
        let expected = (2..10).map(|index| entry(2, index, 200));
        assert_eq!(read_all(&wal)[1..], expected.collect::<Vec<_>>());
    }
}

#[test]
fn rotten_old_entries_are_not_served() {
    let disk = MemDisk::new(13);
    let mut run = open(&disk).unwrap();
    for _ in 0..5 {
        run.append(2, 150);
        run.settle();
    }
    disk.damage(&segment(1), |bytes| bytes[300] ^= 4);
    let rotten = (1..11).filter(|index| run.wal.read(*index..*index + 1, 1 << 10).is_err());
    assert_eq!(rotten.count(), 1);
    assert!(matches!(
        run.wal.read(1..2, 1),
        Err(WalError::Corrupt { segment: 1, .. })
    ));
}

#[test]
fn recycled_segments_never_bring_back_old_records() {
    let disk = MemDisk::new(14);
    let mut run = open(&disk).unwrap();
    let mut begun = 0;
    for round in 0..90 {
        // All records alike, so that old ones lie exactly where new ones would.
        run.append(3, 120);
        run.settle();
        let keep = run.model().entries.len().saturating_sub(4);
        if let Some(entry) = run.model().entries.get(keep) {
            let upto = entry.id;
            run.purge(upto);
        }
        run.settle();
        begun += run.wal.stats().segments;
        let model = run.model().clone();
        drop(run);
        disk.crash(if round % 2 == 0 {
            Crash::Process
        } else {
            Crash::Power
        });
        run = open(&disk).unwrap();
        assert_eq!(run.recovered.verdict, Verdict::Intact);
        assert_eq!(run.model(), &model);
    }
    let created = disk.count(OpKind::Create);
    assert!(
        begun > 15 && created < begun / 3,
        "{created} files made for {begun} segments"
    );
}

#[test]
fn the_newest_committed_id_rides_along() {
    let disk = MemDisk::new(17);
    let mut run = open(&disk).unwrap();
    run.append(3, 10);
    run.wal.save_committed(id(1, 1));
    run.wal.save_committed(id(1, 2));
    run.settle();
    let syncs = run.wal.stats().syncs;
    run.wal.save_committed(id(1, 3));
    run.settle();
    assert_eq!(run.wal.stats().syncs, syncs, "nobody waits for it");
    drop(run);
    disk.crash(Crash::PowerNothingKept);
    let run = open(&disk).unwrap();
    assert_eq!(run.recovered.committed, Some(id(1, 2)));
    run.wal.save_committed(id(1, 3));
    run.driver.finish().unwrap();
    drop(run.wal);
    disk.crash(Crash::PowerNothingKept);
    assert_eq!(open(&disk).unwrap().recovered.committed, Some(id(1, 3)));
}

#[test]
fn limits_are_refused_without_side_effects() {
    let run = open(&MemDisk::new(18)).unwrap();
    let large = mainstay_wal::limits::ENTRY_PAYLOAD_BYTES_MAX + 1;
    let refused = run.wal.append(vec![entry(1, 1, large)], ignore());
    assert!(matches!(refused, Err(WalError::TooLarge { .. })));
    let vote = vec![0; mainstay_wal::limits::VOTE_BYTES_MAX + 1];
    run.wal
        .save_vote(vote.into(), Box::new(|result| assert!(result.is_err())));
    assert_eq!(run.wal.state().last, None);
    let payload = bytes::Bytes::from(vec![0; mainstay_wal::limits::ENTRY_PAYLOAD_BYTES_MAX]);
    let mut index = 0;
    let backlogged = loop {
        index += 1;
        let entry = mainstay_wal::Entry {
            id: id(1, index),
            kind: 0,
            payload: payload.clone(),
        };
        if let Err(error) = run.wal.append(vec![entry], ignore()) {
            break error;
        }
    };
    assert!(matches!(backlogged, WalError::Backlogged { .. }));
    assert_eq!((index, run.wal.state().next_index), (4, 4));
    let bad = Options {
        segment_bytes: 1,
        ..options()
    };
    assert!(matches!(
        open_with(&MemDisk::new(0), bad),
        Err(WalError::Options(_))
    ));
}

#[test]
fn files_of_others_are_left_alone() {
    let disk = MemDisk::new(19);
    let foreign = Path::new(DIR).join("README.wal");
    disk.create(&foreign).unwrap();
    let (run, _) = three_batches(&disk);
    drop(run);
    disk.crash(Crash::Process);
    assert_eq!(open(&disk).unwrap().recovered.verdict, Verdict::Intact);
    assert!(disk.files().contains(&foreign));
}

#[test]
fn half_a_witness_is_enough_and_is_told() {
    let disk = MemDisk::new(33);
    let (run, _) = three_batches(&disk);
    drop(run);
    disk.crash(Crash::Process);
    disk.damage(Path::new("/data/wal.durable"), |bytes| bytes[20] ^= 1);
    let run = open(&disk).unwrap();
    assert!(run.recovered.witness_torn && !run.recovered.witness_missing);
    assert_eq!(run.recovered.verdict, Verdict::Intact);
    drop(run);
    disk.crash(Crash::Process);
    assert!(
        !open(&disk).unwrap().recovered.witness_torn,
        "it was written again"
    );
}
