//! Random operation sequences on the in-memory engine against the reference model.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod model;

use mainstay_engine::{Engine, MemEngine};
use model::run::{Harness, run};
use model::steps::steps;
use proptest::prelude::*;
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_store_does_what_the_reference_does(steps in steps(40)) {
        run(&mut Memory(Arc::new(MemEngine::new())), &steps);
    }
}
