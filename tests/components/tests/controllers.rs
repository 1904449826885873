//! Controllers against a real apiserver: what they do, and what they do when they are ended, blind or behind.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

#[path = "controllers/endpoints.rs"]
mod endpoints;
#[path = "controllers/replicaset.rs"]
mod replicaset;

use std::time::Duration;

/// Time for a controller to have done its work.
const DONE: Duration = Duration::from_secs(20);
