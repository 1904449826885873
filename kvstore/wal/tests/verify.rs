//! The running log is read back and checked.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod common;

use std::path::Path;

use common::{DIR, Run, open_with, options, segment, used};
use mainstay_wal::{Disk, MemDisk, Options, WalError};

/// Several segments, with entries larger than what verification reads at once.
fn a_long_log(disk: &MemDisk) -> Run {
    let wide = Options {
        segment_bytes: 4 << 20,
        ..options()
    };
    let mut run = open_with(disk, wide).unwrap();
    for round in 0..12 {
        run.append(3, 300);
        run.append(1, if round % 4 == 0 { 2_500_000 } else { 700_000 });
        run.vote(round);
        run.settle();
    }
    run
}

#[test]
fn a_whole_log_verifies() {
    let disk = MemDisk::new(31);
    let run = a_long_log(&disk);
    let mut paced = 0;
    let verified = run.wal.verify(&mut |bytes| {
        paced += bytes;
        std::ops::ControlFlow::Continue(())
    });
    let verified = verified.unwrap();
    assert!(verified.segments >= 3, "{verified:?}");
    assert_eq!(verified.bytes, paced);
    let stopped = run.wal.verify(&mut |_| std::ops::ControlFlow::Break(()));
    assert_eq!(stopped.unwrap().segments, 0);
}

#[test]
fn rot_in_the_running_log_is_found_wherever_it_is() {
    let disk = MemDisk::new(32);
    let run = a_long_log(&disk);
    let names = disk.list(Path::new(DIR)).unwrap();
    let mut found = 0;
    for seq in 1..=3 {
        assert!(names.contains(&format!("{seq:016x}.wal")));
        let (path, end) = (segment(seq), used(&disk, seq));
        for step in 0..40 {
            let at = end * step / 40;
            disk.damage(&path, |bytes| bytes[at] ^= 0x10);
            // Between records lie up to seven bytes that mean nothing.
            match run.wal.verify(&mut |_| std::ops::ControlFlow::Continue(())) {
                Err(WalError::Corrupt {
                    segment, offset, ..
                }) => {
                    found += 1;
                    assert_eq!(segment, seq);
                    assert!(offset as usize <= at, "{offset} {at}");
                }
                other => assert!(other.is_ok(), "{other:?}"),
            }
            disk.damage(&path, |bytes| bytes[at] ^= 0x10);
        }
    }
    assert!(found >= 115, "{found}");
    disk.remove(&segment(2));
    let error = run.wal.verify(&mut |_| std::ops::ControlFlow::Continue(()));
    assert!(matches!(error, Err(WalError::Corrupt { segment: 2, .. })));
}

#[test]
fn a_lost_witness_of_the_running_log_is_found() {
    let disk = MemDisk::new(35);
    let run = a_long_log(&disk);
    let witness = Path::new("/data/wal.durable");
    disk.damage(witness, |bytes| bytes.fill(7));
    let error = run.wal.verify(&mut |_| std::ops::ControlFlow::Continue(()));
    assert!(matches!(error, Err(WalError::Corrupt { segment: 0, .. })));
}
