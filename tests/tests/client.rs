//! The protocol, call by call: the etcd-client crate for what clients do, a bare gRPC client for exact codes, texts,
//! headers and stream messages. One test per promise of the protocol where practical.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this crate is all tests"
)]

#[path = "client/crate_calls.rs"]
mod crate_calls;
#[path = "client/errors.rs"]
mod errors;
#[path = "client/headers.rs"]
mod headers;
#[path = "client/http_pages.rs"]
mod http_pages;
#[path = "client/leases.rs"]
mod leases;
#[path = "client/maintenance.rs"]
mod maintenance;
#[path = "client/progress.rs"]
mod progress;
#[path = "client/ranges.rs"]
mod ranges;
#[path = "client/tls.rs"]
mod tls;
#[path = "client/transactions.rs"]
mod transactions;
#[path = "client/watches.rs"]
mod watches;
#[path = "client/writes.rs"]
mod writes;

use mainstay_tests::{Cluster, Raw};
use std::fmt::Debug;
use tonic::{Code, Status};

/// A cluster of one and its client.
async fn one() -> (Cluster, Raw) {
    let cluster = Cluster::start(1).await;
    let raw = cluster.raw(0);
    (cluster, raw)
}

/// Code and text of a call that must fail.
fn refused<T: Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.expect_err("the call must be refused");
    (status.code(), status.message().to_owned())
}

/// What [`refused`] yields for one of etcd's own errors.
fn etcd(code: Code, text: &str) -> (Code, String) {
    (code, format!("etcdserver: {text}"))
}
