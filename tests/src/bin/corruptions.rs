//! Many rounds of damage, with progress after each.

use clap::Parser;
use mainstay_tests::{Server, corruption};
use rand::Rng;

/// Damages files of members of a store, one after the other, and checks that the damage is found, never served, and
/// repaired without anybody's help.
///
/// Each round takes a kind of file in turn (log segment, witness, identity, peers, pointer to the state, table, manifest,
/// pointer to the database, options), a member, and a damage: one or eight flipped bits, a truncation, a zeroed or
/// misplaced block, a deletion; while the member runs, or while it is down. Three members are under load meanwhile.
/// The first broken promise ends the program with a panic that names it.
///
/// The server is the kvstore beside this program, or the one that MAINSTAY_TEST_SERVER names.
#[derive(Debug, Parser)]
#[command(name = "corruptions", version, max_term_width = 110)]
struct Cli {
    /// How many files to damage; every kind of file is met in 9 rounds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
    /// Decides files, members and damages, not how the machine schedules threads; a random one if not given.
    #[arg(long)]
    seed: Option<u64>,
}

#[expect(
    clippy::print_stdout,
    reason = "a command-line tool reports on standard output"
)]
fn main() {
    let cli = Cli::parse();
    let seed = cli.seed.unwrap_or_else(|| rand::rng().random());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    println!(
        "server under test: {}; seed {seed}",
        Server::under_test().path().display()
    );
    let report = runtime.block_on(corruption::run(cli.rounds, seed, |line| println!("{line}")));
    println!("{report}passed with seed {seed}");
}
