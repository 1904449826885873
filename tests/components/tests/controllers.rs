//! Controllers against a real apiserver: what they do, and what they do when they are ended, blind or behind.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

#[path = "controllers/certificates.rs"]
mod certificates;
#[path = "controllers/cleaners.rs"]
mod cleaners;
#[path = "controllers/cluster_roles.rs"]
mod cluster_roles;
#[path = "controllers/cronjob.rs"]
mod cronjob;
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
#[path = "controllers/garbage.rs"]
mod garbage;
#[path = "controllers/job.rs"]
mod job;
#[path = "controllers/job_ends.rs"]
mod job_ends;
#[path = "controllers/namespace.rs"]
mod namespace;
#[path = "controllers/node_ipam.rs"]
mod node_ipam;
#[path = "controllers/nodes.rs"]
mod nodes;
#[path = "controllers/own_roles.rs"]
mod own_roles;
#[path = "controllers/pod_gc.rs"]
mod pod_gc;
#[path = "controllers/replicaset.rs"]
mod replicaset;
#[path = "controllers/resource_quota.rs"]
mod resource_quota;
#[path = "controllers/serviceaccount.rs"]
mod serviceaccount;
#[path = "controllers/statefulset.rs"]
mod statefulset;
#[path = "controllers/taint_eviction.rs"]
mod taint_eviction;
#[path = "controllers/tokens.rs"]
mod tokens;

use std::time::Duration;

/// Time for a controller to have done its work.
const DONE: Duration = Duration::from_secs(20);
