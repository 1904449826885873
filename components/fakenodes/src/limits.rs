//! Every limit and deadline of this crate, in one place.

use std::time::Duration;

/// Most nodes of one process.
pub const NODES_MAX: usize = 20_000;
/// How often a node renews its lease, as kubelets do.
pub const LEASE_EVERY: Duration = Duration::from_secs(10);
/// How long others believe a lease.
pub const LEASE_SECONDS: i32 = 40;
/// How often a node tells its whole status when nothing has changed, as kubelets do.
pub const STATUS_EVERY: Duration = Duration::from_secs(300);
/// Requests for nodes and leases under way at the same time.
pub const NODE_REQUESTS: usize = 32;
/// Pods that are worked on at the same time.
pub const POD_WORKERS: usize = 64;
/// Longest beginning of a node's name, in bytes: numbers follow, and a name has 253 at most.
pub const PREFIX_MAX: usize = 240;
/// Longest name or value of a label, in bytes.
pub const LABEL_MAX: usize = 63;
