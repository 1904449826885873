//! One seed, from start to verdict.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::logging::Lines;
use crate::oracle::Violation;
use crate::process;
use crate::trace::Trace;
use crate::world::World;

/// The exit code of a run in which the store broke a promise.
pub const EXIT_VIOLATION: u8 = 2;
/// The exit code of a run that says nothing about the store.
pub const EXIT_HARNESS: u8 = 3;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    /// Number of events and the hash of them all: the same for every run of a seed.
    pub events: u64,
    pub hash: u64,
    /// What happened, as `name=value`, sorted.
    pub counts: String,
    pub violation: Option<String>,
    pub harness: Option<String>,
    /// The last events, when something is wrong.
    pub last: Vec<String>,
}

/// Runs a seed in this process, which can run no other: see `process`.
///
/// `print` shows every event, `log` what the members log, too.
pub fn run_seed(seed: u64, print: bool, log: bool) -> Outcome {
    let trace = Trace::new(print || log);
    if log {
        let lines = Lines {
            trace: trace.clone(),
        };
        // Set once: this process runs one seed.
        let _ = tracing::subscriber::set_global_default(lines);
    }
    let mut outcome = Outcome {
        seed,
        events: 0,
        hash: 0,
        counts: String::new(),
        violation: None,
        harness: None,
        last: Vec::new(),
    };
    if !process::begin(seed) {
        outcome.harness =
            Some("the C library's getrandom and clock_gettime are not replaced".into());
        return outcome;
    }
    // A panic in a member's task would otherwise end that task only; the server aborts on every one.
    let panic = Arc::new(Mutex::new(None::<(String, bool)>));
    std::panic::set_hook({
        let panic = Arc::clone(&panic);
        Box::new(move |info| {
            let here = info
                .location()
                .is_some_and(|l| l.file().contains("tests/sim/"));
            panic.lock().get_or_insert((info.to_string(), here));
        })
    });
    let run = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, trace.clone());
        let result = world.run(&mut || panic.lock().is_some());
        (result, world.counts())
    }));
    match run {
        Ok((result, counts)) => {
            for (name, n) in &counts.0 {
                let _ = write!(outcome.counts, "{name}={n} ");
            }
            outcome.violation = result.err().map(|Violation(what)| what);
        }
        Err(_) => outcome.harness = Some("panicked".into()),
    }
    match panic.lock().take() {
        Some((what, true)) => outcome.harness = Some(what),
        Some((what, false)) => outcome.violation = Some(what),
        None => {}
    }
    (outcome.events, outcome.hash) = trace.digest();
    outcome.hash ^= process::drawn();
    if outcome.violation.is_some() || outcome.harness.is_some() {
        outcome.last = trace.last();
    }
    outcome
}
