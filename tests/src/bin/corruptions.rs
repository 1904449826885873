//! Many rounds of damage: `corruptions [--rounds N] [--seed N]`, 100 rounds and a random seed unless given.

use mainstay_tests::{Server, corruption};
use rand::Rng;

const ROUNDS: u32 = 100;

#[expect(
    clippy::print_stdout,
    reason = "a command-line tool reports on standard output"
)]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        let text = arguments.get(at + 1).expect("the option has a value");
        Some(text.parse::<u64>().expect("the value is a number"))
    };
    let rounds = number("--rounds").map_or(ROUNDS, |n| u32::try_from(n).expect("a small number"));
    let seed = number("--seed").unwrap_or_else(|| rand::rng().random());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    println!(
        "server under test: {}; seed {seed}",
        Server::under_test().path().display()
    );
    let report = runtime.block_on(corruption::run(rounds, seed, |line| println!("{line}")));
    println!("{report}passed with seed {seed}");
}
