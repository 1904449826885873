//! Cuts, flips and tears small logs at every single byte.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod common;

use std::path::{Path, PathBuf};

use common::{Model, Run, assert_known, id, is_damaged, open, read_all};
use mainstay_wal::disk::{Crash, OpKind};
use mainstay_wal::{MemDisk, Verdict};

/// A log of several segments with all kinds of records, recycled files among them.
fn script(run: &mut Run) {
    run.vote(3);
    for round in 0..6 {
        run.append(4 + 2 * round, 60);
        run.driver.step().unwrap();
        run.driver.keep().unwrap();
    }
    run.purge(id(1, 40));
    run.settle();
    run.truncate(2);
    run.append(3, 60);
    run.wal.save_committed(id(1, 50));
    run.settle();
    for _ in 0..3 {
        run.append(9, 60);
        run.settle();
    }
    run.vote(9);
    run.settle();
}

fn files(disk: &MemDisk) -> Vec<PathBuf> {
    disk.files()
        .into_iter()
        .filter(|path| path.extension().is_some())
        .collect()
}

/// Opens a damaged copy. Either nothing is missing or it says so; and it says the same again.
fn judge(disk: &MemDisk, expected: &Model, history: &[Model]) -> bool {
    let run = open(disk).unwrap();
    let found = run.model().clone();
    if !is_damaged(&run.recovered) {
        assert_eq!(&found, expected);
        return false;
    }
    assert_known(&found, history);
    let Verdict::Damaged(damage) = &run.recovered.verdict else {
        unreachable!()
    };
    assert!(damage.first_lost_index <= expected.next());
    assert!(damage.first_lost_index <= found.next().max(expected.first()));
    let verdict = run.recovered.verdict.clone();
    drop(run);
    disk.crash(Crash::PowerNothingKept);
    let again = open(disk).unwrap();
    assert_eq!(again.recovered.verdict, verdict);
    assert_eq!(again.model(), &found);
    true
}

#[test]
fn flip_every_byte() {
    let disk = MemDisk::new(1);
    let mut run = open(&disk).unwrap();
    script(&mut run);
    let (expected, history) = (run.model().clone(), run.history.clone());
    drop(run);
    disk.crash(Crash::Process);
    let mut damaged = 0;
    for path in files(&disk) {
        for at in 0..disk.content(&path).unwrap().len() {
            let copy = disk.fork(at as u64);
            assert!(copy.damage(&path, |bytes| bytes[at] ^= 1 << (at % 8)));
            damaged += usize::from(judge(&copy, &expected, &history));
        }
    }
    assert!(
        damaged > 1000,
        "most bytes of the log matter, {damaged} did"
    );
}

#[test]
fn cut_every_byte() {
    let disk = MemDisk::new(2);
    let mut run = open(&disk).unwrap();
    script(&mut run);
    let (expected, history) = (run.model().clone(), run.history.clone());
    drop(run);
    disk.crash(Crash::Process);
    let mut damaged = 0;
    for path in files(&disk) {
        for len in 0..disk.content(&path).unwrap().len() {
            let copy = disk.fork(len as u64);
            assert!(copy.damage(&path, |bytes| bytes.truncate(len)));
            damaged += usize::from(judge(&copy, &expected, &history));
        }
    }
    assert!(
        damaged > 1000,
        "most bytes of the log matter, {damaged} did"
    );
}

#[test]
fn zero_every_sector_and_remove_every_file() {
    let disk = MemDisk::new(3);
    let mut run = open(&disk).unwrap();
    script(&mut run);
    let (expected, history) = (run.model().clone(), run.history.clone());
    drop(run);
    disk.crash(Crash::Process);
    for path in files(&disk) {
        let copy = disk.fork(0);
        assert!(copy.remove(&path));
        judge(&copy, &expected, &history);
        for at in (0..disk.content(&path).unwrap().len()).step_by(64) {
            let copy = disk.fork(at as u64);
            assert!(copy.damage(&path, |bytes| {
                bytes
                    .iter_mut()
                    .skip(at)
                    .take(64)
                    .for_each(|byte| *byte = 0)
            }));
            judge(&copy, &expected, &history);
        }
    }
}

/// The last batch is torn at every byte: never taken for damage, never costs anything acknowledged.
#[test]
fn tear_every_byte_of_the_last_batch() {
    for in_new_segment in [false, true] {
        let disk = MemDisk::new(4);
        let mut run = open(&disk).unwrap();
        script(&mut run);
        if in_new_segment {
            while run.wal.stats().segments < 12 {
                run.append(1, 200);
                run.settle();
            }
        }
        let before: Vec<_> = contents(&disk);
        let expected = run.model().clone();
        run.append(4, if in_new_segment { 150 } else { 20 });
        run.vote(5);
        disk.fail(OpKind::Sync, 0, std::io::ErrorKind::Other);
        assert!(run.driver.step().is_err());
        let complete = run.model().clone();
        drop(run);
        disk.crash(Crash::Process);
        let (path, from, to) = changed(&before, &contents(&disk));
        let mut old = before
            .iter()
            .find(|(other, _)| *other == path)
            .unwrap()
            .1
            .clone();
        old.resize(old.len().max(to), 0);
        let mut torn = 0;
        for kept in from..to {
            let copy = disk.fork(kept as u64);
            assert!(copy.damage(&path, |bytes| {
                bytes[kept..to].copy_from_slice(&old[kept..to])
            }));
            let run = open(&copy).unwrap();
            assert!(
                !is_damaged(&run.recovered),
                "torn at {kept}: {:?}",
                run.recovered.verdict
            );
            // Padding and zeros at the end of the payload may be cut without loss.
            assert!(run.model() == &expected || run.model() == &complete);
            torn += usize::from(matches!(run.recovered.verdict, Verdict::TornTail { .. }));
            go_on(run, &copy);
            // The head of the batch is lost, its end is not.
            let copy = disk.fork(kept as u64);
            assert!(copy.damage(&path, |bytes| {
                bytes[from..=kept].copy_from_slice(&old[from..=kept]);
            }));
            let run = open(&copy).unwrap();
            assert!(!is_damaged(&run.recovered));
            assert!(run.model() == &expected || run.model() == &complete);
            go_on(run, &copy);
        }
        assert!(torn > (to - from) / 2);
        let run = open(&disk).unwrap();
        assert_eq!(run.recovered.verdict, Verdict::Intact);
        assert_eq!(run.model(), &complete);
    }
}

/// After a recovery the log can be written to, and nothing torn comes back.
fn go_on(mut run: Run, disk: &MemDisk) {
    run.append(2, 33);
    run.settle();
    let expected = run.model().clone();
    assert_eq!(read_all(&run.wal), expected.entries);
    drop(run);
    disk.crash(Crash::Power);
    let run = open(disk).unwrap();
    assert_eq!(run.recovered.verdict, Verdict::Intact);
    assert_eq!(run.model(), &expected);
}

fn contents(disk: &MemDisk) -> Vec<(PathBuf, Vec<u8>)> {
    files(disk)
        .into_iter()
        .map(|path| (path.clone(), disk.content(&path).unwrap()))
        .collect()
}

/// The segment that changed and the changed part of it.
fn changed(before: &[(PathBuf, Vec<u8>)], after: &[(PathBuf, Vec<u8>)]) -> (PathBuf, usize, usize) {
    let segment = |path: &Path| path.extension().is_some_and(|suffix| suffix == "wal");
    for (path, new) in after.iter().filter(|(path, _)| segment(path)) {
        let Some((_, old)) = before.iter().find(|(other, _)| other == path) else {
            continue;
        };
        let differs = |at: &usize| old.get(*at) != Some(&new[*at]);
        if let Some(from) = (0..new.len()).find(differs) {
            let to = (0..new.len()).rfind(differs).unwrap() + 1;
            return (path.clone(), from, to);
        }
    }
    panic!("no segment changed");
}
