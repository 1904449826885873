//! The control plane as people use it: kubectl, and as processes the controllers, the scheduler and fake nodes, each with
//! the credentials that the apiserver made for it. No container runs.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

#[path = "with_kubectl/lives.rs"]
mod lives;
#[path = "with_kubectl/nodes.rs"]
mod nodes;
#[path = "with_kubectl/plane.rs"]
mod plane;
#[path = "with_kubectl/rollouts.rs"]
mod rollouts;
#[path = "with_kubectl/services.rs"]
mod services;

use std::time::Duration;

/// Time for what a command has asked for to happen.
const DONE: Duration = Duration::from_secs(30);
