//! etcdctl drives the server under test and Debian's etcd with the same scripts; what it prints must be equal.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this crate is all tests"
)]

#[path = "etcdctl/cluster_scripts.rs"]
mod cluster_scripts;
#[path = "etcdctl/exceptions.rs"]
mod exceptions;
#[path = "etcdctl/kv_scripts.rs"]
mod kv_scripts;
#[path = "etcdctl/lease_scripts.rs"]
mod lease_scripts;
#[path = "etcdctl/normalise.rs"]
mod normalise;
#[path = "etcdctl/session.rs"]
mod session;
#[path = "etcdctl/watch_scripts.rs"]
mod watch_scripts;

use mainstay_tests::{Cluster, Options, Server};
use session::{ETCDCTL, Session};
use std::path::Path;

/// Output formats of etcdctl.
const FORMATS: [&str; 5] = ["simple", "json", "fields", "table", "protobuf"];

/// Runs a script against both servers and compares the transcripts step by step.
async fn compare(size: usize, script: impl AsyncFn(&mut Session)) {
    let Some(etcd) = Server::debian_etcd().filter(|_| Path::new(ETCDCTL).exists()) else {
        println!("skipped: etcdctl and etcd are needed (Debian: etcd-client, etcd-server)");
        return;
    };
    let ours = Server::under_test();
    let theirs = Options {
        server: etcd.clone(),
        ..Options::default()
    };
    let (our_cluster, their_cluster) =
        tokio::join!(Cluster::start(size), Cluster::start_with(size, theirs));
    let mut our_session = Session::new(our_cluster);
    let mut their_session = Session::new(their_cluster);
    tokio::join!(script(&mut our_session), script(&mut their_session));
    let excepted = ours.version() != etcd.version();
    let steps = our_session.steps().iter().zip(their_session.steps());
    for (number, (our_step, their_step)) in steps.enumerate() {
        let (mut our_step, mut their_step) = (our_step.clone(), their_step.clone());
        if excepted {
            our_step.output = exceptions::apply(&our_step.command, &our_step.output);
            their_step.output = exceptions::apply(&their_step.command, &their_step.output);
        }
        assert!(
            our_step == their_step,
            "step {number} differs: etcdctl {}\n--- server under test ---\n{}\n--- etcd {:?} ---\n{}",
            our_step.command,
            our_step.output,
            etcd.version(),
            their_step.output,
        );
    }
    assert_eq!(our_session.steps().len(), their_session.steps().len());
    println!("{} steps equal", our_session.steps().len());
}
