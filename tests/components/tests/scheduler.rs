//! The scheduler against a real apiserver: where pods go, what is said about those that go nowhere, what wakes them, and
//! what it never does, whatever happens to it.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

#[path = "scheduler/faults.rs"]
mod faults;
#[path = "scheduler/instances.rs"]
mod instances;
#[path = "scheduler/places.rs"]
mod places;
#[path = "scheduler/program.rs"]
mod program;
#[path = "scheduler/reasons.rs"]
mod reasons;
#[path = "scheduler/support.rs"]
mod support;
#[path = "scheduler/wakes.rs"]
mod wakes;

use std::time::Duration;

/// Time for a scheduler to have done its work: less than the 30 s after which it looks at everything again, so that
/// what is done was done because of what has happened.
const DONE: Duration = Duration::from_secs(20);
