//! The long crash test: `MAINSTAY_CRASH_ROUNDS` rounds, 200 unless set, with progress after every round.

use mainstay_tests::crash::{Plan, run};
use mainstay_tests::{Options, Server};

/// Rounds when the environment does not say.
const ROUNDS: u32 = 200;

#[expect(
    clippy::print_stdout,
    reason = "a command-line tool reports on standard output"
)]
fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    println!(
        "server under test: {}",
        Server::under_test().path().display()
    );
    let plan = Plan::from_environment(ROUNDS);
    let report = runtime.block_on(run(plan, Options::default(), |line| println!("{line}")));
    println!("passed with seed {}: {report}", plan.seed);
}
