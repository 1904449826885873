//! The long crash test, with progress after every round.

use clap::Parser;
use mainstay_tests::crash::{Plan, run};
use mainstay_tests::{Options, Server};

/// Rounds when nobody says.
const ROUNDS: u32 = 200;

/// Kills members of a store under load, and checks after each round that nothing acknowledged was lost.
///
/// A round: writers and watchers run on three members; one dies by SIGKILL, or all; the dead come back; then every
/// acknowledged write must be in the history at its revision, every watcher must have seen exactly that history, and all
/// members must hold the same. The first broken promise ends the program with a panic that names it.
///
/// The server is the kvstore beside this program, or the one that MAINSTAY_TEST_SERVER names.
#[derive(Debug, Parser)]
#[command(name = "crash", version, max_term_width = 110)]
struct Cli {
    /// How many rounds; if not given, MAINSTAY_CRASH_ROUNDS, or 200.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: Option<u32>,
    /// Decides victims, moments and operations; if not given, MAINSTAY_CRASH_SEED, or a random one.
    #[arg(long)]
    seed: Option<u64>,
}

#[expect(
    clippy::print_stdout,
    reason = "a command-line tool reports on standard output"
)]
fn main() {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    println!(
        "server under test: {}",
        Server::under_test().path().display()
    );
    let mut plan = Plan::from_environment(ROUNDS);
    plan.rounds = cli.rounds.unwrap_or(plan.rounds);
    plan.seed = cli.seed.unwrap_or(plan.seed);
    let report = runtime.block_on(run(plan, Options::default(), |line| println!("{line}")));
    println!("passed with seed {}: {report}", plan.seed);
}
