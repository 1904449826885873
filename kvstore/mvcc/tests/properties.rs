//! Random operation sequences on the in-memory engine against the reference model.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod model;

use mainstay_engine::{Engine, MemEngine};
use mainstay_mvcc::CountStats;
use model::run::{Harness, run};
use model::steps::steps;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::Cell;
use std::sync::Arc;

struct Memory(Arc<MemEngine>);

impl Harness for Memory {
    type Engine = MemEngine;

    fn engine(&self) -> Arc<MemEngine> {
        Arc::clone(&self.0)
    }

    fn restart(&mut self) {
        self.0.flush().unwrap();
        self.crash();
    }

    fn crash(&mut self) {
        self.0 = Arc::new(self.0.crashed());
    }
}

#[test]
fn the_store_does_what_the_reference_does() {
    let config = ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..Default::default()
    };
    let total = Cell::new(CountStats::default());
    TestRunner::new(config)
        .run(&steps(40), |steps| {
            let stats = run(&mut Memory(Arc::new(MemEngine::new())), &steps);
            total.set(CountStats {
                from_table: total.get().from_table + stats.from_table,
                from_log: total.get().from_log + stats.from_log,
                learned: total.get().learned + stats.learned,
            });
            Ok(())
        })
        .unwrap();
    let total = total.get();
    let few = [
        total.from_table < 2000,
        total.from_log < 1000,
        total.learned < 100,
    ];
    assert_eq!(
        few, [false; 3],
        "shortcuts were taken too rarely: {total:?}"
    );
}
