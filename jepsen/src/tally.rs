//! Counts of a run while it goes on, for live progress and for the figures of the nemesis.

use crate::client::Failure;
use mainstay_check::history::{Op, Operation, Outcome};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counts that many clients raise and few readers read.
#[derive(Debug, Default)]
pub struct Tally {
    ok: AtomicU64,
    writes: AtomicU64,
    fail: AtomicU64,
    unknown: AtomicU64,
    watch_events: AtomicU64,
    failures: Mutex<BTreeMap<&'static str, u64>>,
}

/// The counts of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations that succeeded.
    pub ok: u64,
    /// Those of them that wrote something.
    pub writes: u64,
    /// Operations that certainly had no effect.
    pub fail: u64,
    /// Operations whose outcome nobody knows.
    pub unknown: u64,
    /// Events that watchers received.
    pub watch_events: u64,
    /// Failures by class, and ends of streams as `watch:CLASS`.
    pub failures: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts an operation.
    pub fn operation(&self, operation: &Operation, failure: Option<&Failure>) {
        let counter = match operation.outcome {
            Outcome::Ok => &self.ok,
            Outcome::Fail => &self.fail,
            Outcome::Unknown => &self.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if operation.outcome == Outcome::Ok && matches!(operation.op, Op::Put(_) | Op::Txn(_)) {
            self.writes.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(failure) = failure {
            self.failure(failure.class);
        }
    }

    /// Counts received events.
    pub fn watch_events(&self, events: u64) {
        self.watch_events.fetch_add(events, Ordering::Relaxed);
    }

    /// Counts the end of a watch stream.
    pub fn watch_ended(&self, class: &'static str) {
        self.failure(class);
    }

    /// Successful writes so far.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// The counts now.
    pub fn counts(&self) -> Counts {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        Counts {
            ok: self.ok.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            fail: self.fail.load(Ordering::Relaxed),
            unknown: self.unknown.load(Ordering::Relaxed),
            watch_events: self.watch_events.load(Ordering::Relaxed),
            failures: failures
                .iter()
                .map(|(class, count)| ((*class).to_owned(), *count))
                .collect(),
        }
    }

    fn failure(&self, class: &'static str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry(class).or_default() += 1;
    }
}
