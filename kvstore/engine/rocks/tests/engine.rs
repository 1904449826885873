//! The engine on real files: bounds, atomicity across crashes, checkpoints, dropping.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mainstay_engine::{Batch, Cf, Direction, Engine, EngineError, Read};
use mainstay_engine_rocks::{RocksEngine, RocksOptions};
use std::ops::ControlFlow;
use std::path::Path;

fn open(dir: &Path) -> RocksEngine {
    RocksEngine::open(dir, &RocksOptions::default()).unwrap()
}

fn put(engine: &RocksEngine, cf: Cf, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(cf, key, value);
    engine.write(&batch).unwrap();
}

fn keys(read: &dyn Read, start: &[u8], end: Option<&[u8]>, dir: Direction) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    read.scan(Cf::Live, start, end, dir, &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    keys
}

/// Copies the files as a crash would leave them.
fn crash_image(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "LOCK" {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn scans_keep_to_their_bounds_in_both_directions() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    for key in ["a", "b", "c", "d"] {
        put(&engine, Cf::Live, key.as_bytes(), b"");
    }
    put(&engine, Cf::Hist, b"bb", b"");
    let snapshot = engine.snapshot();
    put(&engine, Cf::Live, b"bb", b"");
    let list = |keys: &[&str]| {
        keys.iter()
            .map(|k| k.as_bytes().to_vec())
            .collect::<Vec<_>>()
    };
    use Direction::{Ascending, Descending};
    assert_eq!(
        keys(&snapshot, b"b", Some(b"d"), Ascending),
        list(&["b", "c"])
    );
    assert_eq!(
        keys(&snapshot, b"b", Some(b"d"), Descending),
        list(&["c", "b"])
    );
    assert_eq!(
        keys(&engine, b"b", None, Ascending),
        list(&["b", "bb", "c", "d"])
    );
    assert_eq!(keys(&engine, b"", Some(b"b"), Descending), list(&["a"]));
    assert_eq!(keys(&engine, b"x", None, Ascending), list(&[]));
    assert_eq!(keys(&engine, b"d", Some(b"a"), Ascending), list(&[]));

    let mut cursor = engine
        .cursor(Cf::Live, b"a", Some(b"d"), Ascending)
        .unwrap();
    cursor.seek(b"bc").unwrap();
    assert_eq!(cursor.item().unwrap().0, b"c");
    cursor.seek(b"a").unwrap();
    assert_eq!(cursor.item().unwrap().0, b"c");
    cursor.seek(b"x").unwrap();
    assert!(cursor.item().is_none());
    cursor.advance().unwrap();
}

#[test]
fn a_crash_leaves_all_column_families_at_the_last_flush() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir.path().join("db"));
    for n in 0..100u32 {
        let mut batch = Batch::new();
        for cf in Cf::ALL {
            batch.put(cf, b"n", &n.to_be_bytes());
        }
        engine.write(&batch).unwrap();
        if n == 50 {
            engine.flush().unwrap();
        }
    }
    let image = dir.path().join("image");
    crash_image(engine.dir(), &image);
    let crashed = open(&image);
    for cf in Cf::ALL {
        let value = crashed.get(cf, b"n").unwrap().unwrap();
        assert_eq!(value[..], 50u32.to_be_bytes(), "{cf:?}");
    }
}

#[test]
fn closing_flushes_and_a_checkpoint_opens_like_the_original() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let engine = open(&path);
    put(&engine, Cf::Live, b"a", b"1");
    let copy_dir = dir.path().join("copy");
    engine.checkpoint(&copy_dir).unwrap();
    assert!(matches!(
        engine.checkpoint(&copy_dir),
        Err(EngineError::Exists(_))
    ));
    put(&engine, Cf::Live, b"a", b"2");
    drop(engine);
    assert_eq!(open(&path).get(Cf::Live, b"a").unwrap().unwrap(), "2");
    let copy = open(&copy_dir);
    assert_eq!(copy.get(Cf::Live, b"a").unwrap().unwrap(), "1");
    put(&copy, Cf::Live, b"b", b"1");
    drop(copy);
    RocksEngine::destroy(&copy_dir).unwrap();
    let must_exist = RocksOptions {
        must_exist: true,
        ..RocksOptions::default()
    };
    assert!(RocksEngine::open(&copy_dir, &must_exist).is_err());
}

#[test]
fn history_is_dropped_only_below_a_durable_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir.path().join("db"));
    let filler = vec![7; 100];
    for rev in 1..=20i64 {
        let value = [&rev.to_be_bytes()[..], &filler].concat();
        put(&engine, Cf::Hist, &rev.to_be_bytes(), &value);
        put(&engine, Cf::Log, &rev.to_be_bytes(), &filler);
    }
    put(&engine, Cf::Hist, b"damaged", b"short");
    engine.reclaim(10).unwrap();
    let count = |engine: &RocksEngine, cf| {
        let mut n = 0;
        engine
            .scan(cf, &[], None, Direction::Ascending, &mut |_, _| {
                n += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        n
    };
    assert_eq!(count(&engine, Cf::Hist), 11);
    assert_eq!(count(&engine, Cf::Log), 11);
    assert!(engine.get(Cf::Log, &10i64.to_be_bytes()).unwrap().is_some());

    engine.set_compacted(15);
    let image = dir.path().join("image");
    crash_image(engine.dir(), &image);
    assert_eq!(count(&open(&image), Cf::Hist), 11);
    engine.reclaim(15).unwrap();
    assert_eq!(count(&engine, Cf::Hist), 6);
    drop(engine);
    let engine = open(&dir.path().join("db"));
    assert_eq!(count(&engine, Cf::Hist), 6);
    assert_eq!(count(&engine, Cf::Log), 6);
}

#[test]
fn size_grows_with_data_and_shrinks_with_reclaiming() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let empty = engine.size();
    let mut seed = 1u64;
    for rev in 1..=2000i64 {
        let mut value = rev.to_be_bytes().to_vec();
        for _ in 0..128 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            value.extend_from_slice(&seed.to_be_bytes());
        }
        put(&engine, Cf::Hist, &rev.to_be_bytes(), &value);
    }
    engine.flush().unwrap();
    let full = engine.size();
    assert!(full.total_bytes > empty.total_bytes + 1_000_000, "{full:?}");
    engine.reclaim(2000).unwrap();
    let after = engine.size();
    assert!(after.total_bytes < full.total_bytes / 2, "{after:?}");
}

#[test]
fn damage_is_reported_as_corruption() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let engine = open(&path);
    for n in 0..1000u32 {
        put(&engine, Cf::Live, &n.to_be_bytes(), &[n as u8; 64]);
    }
    drop(engine);
    let tables: Vec<_> = std::fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sst"))
        .collect();
    assert!(!tables.is_empty());
    for table in tables {
        let mut bytes = std::fs::read(&table).unwrap();
        bytes[100] ^= 0xFF;
        std::fs::write(&table, bytes).unwrap();
    }
    let outcome = RocksEngine::open(&path, &RocksOptions::default())
        .and_then(|engine| engine.get(Cf::Live, &0u32.to_be_bytes()));
    assert!(
        matches!(outcome, Err(EngineError::Corrupt(_))),
        "{outcome:?}"
    );
}
