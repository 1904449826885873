//! Random operation sequences of the store on RocksDB against the reference model.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../mvcc/tests/model/mod.rs"]
mod model;

use mainstay_engine_rocks::{RocksEngine, RocksOptions};
use model::run::{Harness, run};
use model::steps::steps;
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

struct Files {
    root: TempDir,
    generation: u32,
    engine: Option<Arc<RocksEngine>>,
}

impl Files {
    fn new() -> Self {
        let mut files = Self {
            root: tempfile::tempdir().unwrap(),
            generation: 0,
            engine: None,
        };
        files.open();
        files
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join(self.generation.to_string())
    }

    fn open(&mut self) {
        let engine = RocksEngine::open(&self.dir(), &RocksOptions::default()).unwrap();
        self.engine = Some(Arc::new(engine));
    }
}

impl Harness for Files {
    type Engine = RocksEngine;

    fn engine(&self) -> Arc<RocksEngine> {
        Arc::clone(self.engine.as_ref().unwrap())
    }

    fn restart(&mut self) {
        self.engine = None;
        self.open();
    }

    /// Goes on with a copy of the files as they are at one moment. Background work may replace files
    /// meanwhile; such a copy is of no moment at all and is made again.
    fn crash(&mut self) {
        let from = self.dir();
        self.generation += 1;
        let to = self.dir();
        let copied = (0..COPIES_MAX).any(|_| {
            let before = listing(&from);
            std::fs::create_dir(&to).unwrap();
            let whole = before
                .iter()
                .all(|(name, _)| std::fs::copy(from.join(name), to.join(name)).is_ok());
            if whole && listing(&from) == before {
                return true;
            }
            std::fs::remove_dir_all(&to).unwrap();
            false
        });
        assert!(copied, "the files never stood still");
        self.restart();
    }
}

/// Attempts at copying files that stand still.
const COPIES_MAX: usize = 1000;

/// Names and sizes, but for the information log.
fn listing(dir: &std::path::Path) -> Vec<(std::ffi::OsString, u64)> {
    let mut found: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.unwrap();
            Some((entry.file_name(), entry.metadata().ok()?.len()))
        })
        .filter(|(name, _)| !name.to_string_lossy().starts_with("LOG"))
        .collect();
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_store_does_what_the_reference_does(steps in steps(40)) {
        run(&mut Files::new(), &steps);
    }
}
