//! Kubernetes' controllers: each brings one part of the world to what objects say it should be.
//!
//! A controller is a function from a [`Context`] to a task that never ends. It is told what changed, puts names
//! into a queue, and works from the caches of its informers; every write carries what it was decided from. It may
//! be ended at any instant: whoever starts next finds all there is to know in the apiserver.

#![forbid(unsafe_code)]

mod account_tokens;
mod bootstrap_tokens;
mod certificates;
mod clock;
mod cluster_roles;
mod context;
mod cronjob;
mod daemonset;
mod deployment;
mod discovery;
mod disruption;
mod each_namespace;
mod endpoints;
mod garbage;
mod hash;
mod history;
mod job;
mod legacy_tokens;
pub mod limits;
mod manager;
mod namespace;
mod node_ipam;
mod node_lifecycle;
mod nodes;
mod options;
mod owners;
mod pod_gc;
mod pods;
mod replicaset;
mod resource_quota;
mod root_ca;
mod serviceaccount;
mod shares;
mod statefulset;
mod table;
mod taint_eviction;
mod ttl_after_finished;

pub use account_tokens::account_tokens;
pub use bootstrap_tokens::{bootstrap_signer, bootstrap_token_cleaner};
pub use certificates::{
    SigningOptions, approve_certificates, clean_certificates, sign_certificates,
};
pub use clock::Clock;
pub use cluster_roles::cluster_role_aggregation;
pub use context::Context;
pub use cronjob::cron_jobs;
pub use daemonset::daemonsets;
pub use deployment::deployments;
pub use disruption::disruption;
pub use endpoints::{endpoint_slices, endpoints};
pub use garbage::garbage_collector;
pub use job::jobs;
pub use legacy_tokens::legacy_token_cleaner;
pub use manager::manage;
pub use namespace::namespaces;
pub use node_ipam::node_ipam;
pub use node_lifecycle::node_lifecycle;
pub use options::Options;
pub use pod_gc::pod_gc;
pub use replicaset::{replicasets, replication_controllers};
pub use resource_quota::resource_quotas;
pub use root_ca::root_ca;
pub use serviceaccount::service_accounts;
pub use statefulset::statefulsets;
pub use table::{CONTROLLERS, Controller, chosen};
pub use taint_eviction::taint_eviction;
pub use ttl_after_finished::ttl_after_finished;
