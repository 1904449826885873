//! Controllers against a real apiserver: what they do, and what they do when they are ended, blind or behind.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

#[path = "controllers/certificates.rs"]
mod certificates;
#[path = "controllers/daemonset.rs"]
mod daemonset;
#[path = "controllers/deployment.rs"]
mod deployment;
#[path = "controllers/disruption.rs"]
mod disruption;
#[path = "controllers/endpoints.rs"]
mod endpoints;
#[path = "controllers/eviction.rs"]
mod eviction;
#[path = "controllers/replicaset.rs"]
mod replicaset;
#[path = "controllers/statefulset.rs"]
mod statefulset;
#[path = "controllers/tokens.rs"]
mod tokens;

use std::time::Duration;

/// Time for a controller to have done its work.
const DONE: Duration = Duration::from_secs(20);
