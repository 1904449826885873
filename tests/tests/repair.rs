//! Damage to a member's files: found, never served, and repaired from its peers without anybody's help.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this crate is all tests"
)]

#[path = "repair/kinds.rs"]
mod kinds;
#[path = "repair/replica.rs"]
mod replica;
#[path = "repair/trouble.rs"]
mod trouble;

use mainstay_tests::{Server, corruption};

/// Whether the server under test repairs itself, or is an etcd that only controls the tests.
fn repairs_itself() -> bool {
    let ours = Server::under_test().at_least(3, 7);
    if !ours {
        println!("skipped: etcd stops and waits for an operator");
    }
    ours
}

/// The long campaign; `corruptions` runs it with any number of rounds and any seed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes about ten minutes"]
async fn a_hundred_corruptions_are_found_and_repaired() {
    let report = corruption::run(100, 4, |line| println!("{line}")).await;
    println!("{report}");
}
