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

    /// Goes on with a copy of the files as they are now.
    fn crash(&mut self) {
        let from = self.dir();
        self.generation += 1;
        let to = self.dir();
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        self.restart();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_store_does_what_the_reference_does(steps in steps(40)) {
        run(&mut Files::new(), &steps);
    }
}
