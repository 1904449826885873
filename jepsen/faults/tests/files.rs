//! Damage changes what it says, where it says, repeats itself from its seed, and can be undone.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what tests share fails and prints like the tests"
)]

mod support;

use mainstay_faults::files::{Damage, DataFile, FileKind, Spot, damage, survey};
use mainstay_faults::process::{Process, http_get, http_ok};
use mainstay_faults::{Error, Fabric, Run};
use std::fs;
use std::path::Path;
use support::{READY, member, server};

const ALL: [Damage; 6] = [
    Damage::FlipBits(1),
    Damage::FlipBits(100),
    Damage::Truncate,
    Damage::ZeroBlock,
    Damage::MisplaceBlock,
    Damage::Delete,
];

fn file(path: &Path, content: &[u8]) -> DataFile {
    fs::write(path, content).unwrap();
    DataFile {
        path: path.to_owned(),
        kind: FileKind::Other,
        bytes: content.len() as u64,
    }
}

/// 20 blocks that differ, then as many of zeros, as in a log that is allocated ahead.
fn content() -> Vec<u8> {
    let used = (0..20 * 4_096_u32).map(|n| (n / 4_096 + n % 251) as u8 | 1);
    used.chain(std::iter::repeat_n(0, 20 * 4_096)).collect()
}

#[test]
fn every_damage_acts_repeats_and_is_undone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let original = content();
    let target = file(&path, &original);
    for how in ALL {
        for spot in [Spot::Random, Spot::End, Spot::At(5_000)] {
            for seed in 0..20 {
                let injury = damage(&target, how, spot, seed).unwrap();
                let harmed = fs::read(&path).ok();
                assert_ne!(
                    harmed.as_deref(),
                    Some(original.as_slice()),
                    "{how:?} {spot:?}"
                );
                assert!(
                    injury.proof().acted && injury.offset < 20 * 4_096,
                    "{injury:?}"
                );
                let at = usize::try_from(injury.offset).unwrap();
                assert!(
                    original[at..].starts_with(&injury.before),
                    "{how:?} {spot:?}"
                );
                if let Some(harmed) = &harmed {
                    assert!(harmed[at..].starts_with(&injury.after));
                }
                if let Damage::FlipBits(bits) = how {
                    let pairs = injury.before.iter().zip(&injury.after);
                    assert_eq!(pairs.map(|(a, b)| (a ^ b).count_ones()).sum::<u32>(), bits);
                }
                injury.undo().unwrap();
                assert_eq!(fs::read(&path).unwrap(), original, "{how:?} {spot:?}");
                damage(&target, how, spot, seed)
                    .unwrap()
                    .undo_after(|again| {
                        assert_eq!(fs::read(&path).ok(), harmed, "{how:?} {spot:?} {again:?}");
                    });
            }
        }
    }
}

trait UndoAfter {
    fn undo_after(self, check: impl FnOnce(&Self));
}

impl UndoAfter for mainstay_faults::files::Injury {
    fn undo_after(self, check: impl FnOnce(&Self)) {
        check(&self);
        self.undo().unwrap();
    }
}

#[test]
fn damage_that_would_change_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let refused = |target: &DataFile, how, spot| {
        assert!(
            matches!(damage(target, how, spot, 1), Err(Error::Misuse(_))),
            "{how:?}"
        );
    };
    let empty = file(&path, b"");
    refused(&empty, Damage::FlipBits(1), Spot::Random);
    refused(&empty, Damage::Truncate, Spot::End);
    let same = file(&path, &vec![7; 3 * 4_096]);
    refused(&same, Damage::MisplaceBlock, Spot::Random);
    refused(&same, Damage::FlipBits(0), Spot::Random);
    refused(&same, Damage::ZeroBlock, Spot::At(3 * 4_096));
    let tail = file(&path, &content());
    refused(&tail, Damage::ZeroBlock, Spot::At(30 * 4_096));
    assert_eq!(fs::read(&path).unwrap(), content());
}

#[test]
fn a_members_files_are_all_known_and_damage_is_noticed() {
    let Some(server) = server() else { return };
    let run = Run::claim().unwrap();
    let fabric = Fabric::loopback(&run, 1).unwrap();
    let client = fabric.place(0).client;
    let data = run.dir().join("m0");
    let mut process = Process::spawn(member(&server, &fabric, 0, &data)).unwrap();
    process
        .wait_ready(READY, || http_ok(client, "/health"))
        .unwrap();
    assert!(http_get(client, "/version").unwrap().contains("etcdserver"));
    process.kill().unwrap();
    let files = survey(&data).unwrap();
    let unknown: Vec<_> = files.iter().filter(|f| f.kind == FileKind::Other).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let log = [FileKind::WalSegment, FileKind::EtcdWal];
    let segment = files.iter().find(|f| log.contains(&f.kind)).unwrap();

    // The start of a log tells what it is: no server may go on without it. etcd ends; Mainstay waits for peers that it
    // can be repaired from, and says so.
    let injury = damage(segment, Damage::ZeroBlock, Spot::At(0), 1).unwrap();
    println!("{}", injury.proof());
    process.restart().unwrap();
    let says_damaged = || {
        let answer = http_get(client, "/health");
        answer.is_ok_and(|answer| !answer.starts_with("HTTP/1.1 200") && answer.contains("CORRUPT"))
    };
    match process.wait_ready(READY, says_damaged) {
        Ok(_) => drop(process.kill().unwrap()),
        Err(_) => {
            let status = process.wait_exit(READY).unwrap();
            assert!(!status.success(), "{status}");
        }
    }
}
