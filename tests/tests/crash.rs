//! What a cluster must survive: kill -9 under load, the death of its leader, restarts of any and all members,
//! membership changes, lost disks, pauses and orderly shutdowns.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this crate is all tests"
)]

#[path = "crash/leader.rs"]
mod leader;
#[path = "crash/membership.rs"]
mod membership;
#[path = "crash/restart.rs"]
mod restart;

use mainstay_tests::crash::{Plan, run};
use mainstay_tests::{Options, Server};

/// Rounds when `MAINSTAY_CRASH_ROUNDS` does not say; the `crash` binary runs 200.
const ROUNDS: u32 = 8;

/// Whether the server under test is held to the limits of this project, or is an etcd that only controls the tests.
fn held_to_our_limits() -> bool {
    Server::under_test().at_least(3, 7)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_and_watches_survive_kill_9() {
    let plan = Plan::from_environment(ROUNDS);
    let report = run(plan, Options::default(), |line| println!("{line}")).await;
    assert_eq!(report.rounds, plan.rounds);
}
