//! Damage in any file of a database is found: at open, when it is read, or by scrubbing. It is never served.

#![allow(clippy::unwrap_used, reason = "this crate is all tests")]

use mainstay_engine::{Batch, Cf, Direction, Engine, EngineError, Read, Scrub};
use mainstay_engine_rocks::{RocksEngine, RocksOptions};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const KEYS: u32 = 4000;

fn options(must_exist: bool) -> RocksOptions {
    RocksOptions {
        block_cache_bytes: 8 << 20,
        memtables_bytes: 8 << 20,
        must_exist,
    }
}

fn key(n: u32) -> Vec<u8> {
    format!("key/{n:08}").into_bytes()
}

fn value(n: u32) -> Vec<u8> {
    format!("value {n} {}", "x".repeat((n % 90) as usize)).into_bytes()
}

/// A closed database with several files and, if `listed`, the list of what they hold.
fn database(dir: &Path, listed: bool) {
    let engine = RocksEngine::open(dir, &options(false)).unwrap();
    for part in 0..3 {
        let mut batch = Batch::default();
        for n in (part..KEYS).step_by(3) {
            batch.put(Cf::Live, &key(n), &value(n));
            batch.put(Cf::Log, &n.to_be_bytes(), b"event");
        }
        batch.put(Cf::Meta, b"applied", &part.to_be_bytes());
        engine.write(&batch).unwrap();
        engine.flush().unwrap();
    }
    if listed {
        engine
            .scrub(Scrub::New, &mut |_| ControlFlow::Continue(()))
            .unwrap();
    }
}

fn files(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().contains(kind))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no {kind} in {dir:?}");
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Reads everything: the first error, or whether all is there. Anything wrong panics.
fn read_all(engine: &RocksEngine) -> Result<bool, EngineError> {
    let mut seen = 0;
    engine.scan(Cf::Live, &[], None, Direction::Ascending, &mut |k, v| {
        let n: u32 = std::str::from_utf8(&k[4..]).unwrap().parse().unwrap();
        assert_eq!((k, v), (&key(n)[..], &value(n)[..]), "damage was served");
        seen += 1;
        ControlFlow::Continue(())
    })?;
    for n in (0..KEYS).step_by(7) {
        let got = engine.get(Cf::Live, &key(n))?;
        assert!(
            got.as_ref().is_none_or(|got| got[..] == value(n)[..]),
            "damage was served"
        );
    }
    Ok(seen == KEYS)
}

#[derive(Debug, PartialEq)]
enum Found {
    AtOpen,
    ByReading,
    ByScrubbing,
    /// Everything is there and right.
    Harmless,
    /// A compaction has replaced the file meanwhile, reading around the damage.
    Replaced,
    /// An older state as a whole: whoever opens it must know better.
    Older,
}

fn find(dir: &Path) -> Found {
    let engine = match RocksEngine::open(dir, &options(true)) {
        Ok(engine) => engine,
        Err(EngineError::Corrupt(_)) => return Found::AtOpen,
        Err(other) => panic!("not told as damage: {other}"),
    };
    let told = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&told);
    engine.on_corruption(Box::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    let found = match read_all(&engine) {
        Err(EngineError::Corrupt(_)) => Found::ByReading,
        Err(other) => panic!("not told as damage: {other}"),
        Ok(complete) => match engine.scrub(Scrub::Everything, &mut |_| ControlFlow::Continue(())) {
            Err(EngineError::Corrupt(_)) => Found::ByScrubbing,
            Err(other) => panic!("not told as damage: {other}"),
            Ok(_) if complete => Found::Harmless,
            Ok(_) => Found::Older,
        },
    };
    let heard = told.load(Ordering::Relaxed) > 0;
    assert_eq!(
        heard,
        matches!(found, Found::ByReading | Found::ByScrubbing)
    );
    found
}

/// Damages copies of the files of a kind and tells what became of each.
fn campaign(kind: &str, listed: bool, damage: impl Fn(&mut Vec<u8>, u32)) -> Vec<Found> {
    let tmp = tempfile::tempdir().unwrap();
    let whole = tmp.path().join("whole");
    database(&whole, listed);
    (0..24)
        .map(|round| {
            let dir = tmp.path().join(format!("copy-{round}"));
            copy(&whole, &dir);
            let all = files(&dir, kind);
            let path = &all[round as usize % all.len()];
            let mut bytes = fs::read(path).unwrap();
            damage(&mut bytes, round);
            fs::write(path, bytes).unwrap();
            let mut found = find(&dir);
            if found == Found::Harmless && !path.exists() {
                found = Found::Replaced;
            }
            fs::remove_dir_all(&dir).unwrap();
            found
        })
        .collect()
}

/// Somewhere in the file, evenly spread and never on the same bit.
fn flip(bytes: &mut [u8], round: u32) {
    let at = (bytes.len() - 1) * round as usize / 23;
    bytes[at] ^= 1 << (round % 8);
}

fn cut(bytes: &mut Vec<u8>, round: u32) {
    let len = bytes.len() * round as usize / 24;
    bytes.truncate(len);
}

#[test]
fn flipped_bits_in_tables_are_found() {
    for listed in [true, false] {
        let found = campaign(".sst", listed, |bytes, round| flip(bytes, round));
        let missed = found
            .iter()
            .filter(|f| matches!(f, Found::Older | Found::Harmless))
            .count();
        // Without the list nobody may ever look at a byte: none that is read.
        assert!(!listed || missed == 0, "{found:?}");
        assert!(!found.contains(&Found::Older), "{found:?}");
    }
}

#[test]
fn shortened_tables_are_found() {
    let found = campaign(".sst", true, cut);
    assert!(found.iter().all(|f| *f == Found::AtOpen), "{found:?}");
}

#[test]
fn damaged_manifests_are_found() {
    let flipped = campaign("MANIFEST", true, |bytes, round| flip(bytes, round));
    assert!(flipped.iter().all(|f| *f == Found::AtOpen), "{flipped:?}");
    let shortened = campaign("MANIFEST", true, cut);
    assert!(
        shortened.iter().all(|f| *f == Found::AtOpen),
        "{shortened:?}"
    );
}

/// What RocksDB alone does not tell from an older state; the log's purged index is what is left then.
#[test]
fn without_the_list_a_shortened_manifest_is_an_older_state_as_a_whole() {
    let found = campaign("MANIFEST", false, cut);
    assert!(
        found
            .iter()
            .all(|f| matches!(f, Found::AtOpen | Found::Older | Found::Replaced)),
        "{found:?}"
    );
}

#[test]
fn a_damaged_pointer_is_found() {
    for listed in [true, false] {
        for damage in [|bytes: &mut Vec<u8>, round| flip(bytes, round), cut] {
            let found = campaign("CURRENT", listed, damage);
            let fine = |f: &Found| matches!(f, Found::AtOpen | Found::Harmless);
            assert!(found.iter().all(fine), "{found:?}");
            let found = found.iter().filter(|f| **f == Found::AtOpen).count();
            assert!(found >= 20, "{found}");
        }
    }
}

#[test]
fn a_missing_file_is_found() {
    for kind in [".sst", "MANIFEST", "CURRENT"] {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("db");
        database(&dir, false);
        for path in files(&dir, kind) {
            fs::remove_file(path).unwrap();
        }
        assert_eq!(find(&dir), Found::AtOpen, "{kind}");
    }
}

#[test]
fn files_that_nothing_is_read_from_may_be_lost() {
    for kind in ["OPTIONS", "IDENTITY", "SUMS"] {
        for damage in [|bytes: &mut Vec<u8>, round| flip(bytes, round), cut] {
            let found = campaign(kind, true, damage);
            assert!(
                found.iter().all(|f| *f == Found::Harmless),
                "{kind}: {found:?}"
            );
        }
    }
}

#[test]
fn rot_while_the_database_is_open_is_found() {
    for kind in [".sst", "MANIFEST"] {
        let tmp = tempfile::tempdir().unwrap();
        database(tmp.path(), false);
        let engine = RocksEngine::open(tmp.path(), &options(true)).unwrap();
        let go_on = &mut |_| ControlFlow::Continue(());
        // Everything is in the cache, so that reading finds nothing.
        assert_eq!(read_all(&engine), Ok(true));
        let first = engine.scrub(Scrub::New, go_on).unwrap();
        assert!(first.new_files >= 3);
        assert_eq!(engine.scrub(Scrub::New, go_on).unwrap().new_files, 0);
        engine.scrub(Scrub::Everything, go_on).unwrap();
        let path = files(tmp.path(), kind).pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 4;
        fs::write(&path, bytes).unwrap();
        // What the cache does not hold is read and checked.
        let read = read_all(&engine);
        assert!(
            matches!(read, Ok(true) | Err(EngineError::Corrupt(_))),
            "{read:?}"
        );
        let error = engine.scrub(Scrub::Everything, go_on).unwrap_err();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            matches!(&error, EngineError::Corrupt(what) if what.contains(name)),
            "{error}"
        );
    }
}

#[test]
fn a_table_that_vanishes_from_an_open_database_is_found() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("db");
    database(&dir, true);
    let engine = RocksEngine::open(&dir, &options(true)).unwrap();
    for path in files(&dir, ".sst") {
        fs::remove_file(path).unwrap();
    }
    let scrubbed = engine.scrub(Scrub::Everything, &mut |_| ControlFlow::Continue(()));
    assert!(
        matches!(scrubbed, Err(EngineError::Corrupt(_))),
        "{scrubbed:?}"
    );
    let copied = engine.checkpoint(&tmp.path().join("copy"));
    assert!(matches!(copied, Err(EngineError::Corrupt(_))), "{copied:?}");
}

#[test]
fn records_are_checked_past_the_cache() {
    let tmp = tempfile::tempdir().unwrap();
    database(tmp.path(), false);
    let path = files(tmp.path(), ".sst").remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let engine = RocksEngine::open(tmp.path(), &options(true)).unwrap();
    let error = engine
        .scrub(Scrub::Records, &mut |_| ControlFlow::Continue(()))
        .unwrap_err();
    assert!(matches!(error, EngineError::Corrupt(_)), "{error}");
}
