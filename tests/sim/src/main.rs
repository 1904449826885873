//! `mainstay-sim`: simulates the store.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "a command line tool says what it found"
)]

use std::process::ExitCode;
use std::thread::available_parallelism;

use anyhow::Context;
use clap::{Parser, Subcommand};
use mainstay_sim::campaign::{Campaign, Report, Verdict};
use mainstay_sim::{EXIT_HARNESS, EXIT_VIOLATION, run_seed};

/// Deterministic simulation of the store: one seed decides everything.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Runs many seeds, each in a process of its own. Exit code 2: the store broke a promise.
    Run {
        /// How many.
        #[arg(long, default_value_t = 1000)]
        seeds: u64,
        /// The first one.
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// Processes at a time; as many as there are processors if not given.
        #[arg(long)]
        jobs: Option<usize>,
        /// Does not fail when some kind of fault never happened; for few seeds.
        #[arg(long)]
        any_coverage: bool,
        /// Plants a bug (needs a build with `--features planted`).
        #[arg(long)]
        planted: Option<String>,
        /// Ends at the first seed that fails.
        #[arg(long)]
        first: bool,
    },
    /// Runs one seed.
    Replay {
        seed: u64,
        /// Prints every event.
        #[arg(long)]
        trace: bool,
        /// Prints what the members log as well.
        #[arg(long)]
        log: bool,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        What::Replay { seed, trace, log } => Ok(replay(seed, trace, log)),
        What::Run {
            seeds,
            from,
            jobs,
            any_coverage,
            planted,
            first,
        } => {
            let campaign = Campaign {
                program: std::env::current_exe().context("where is this program?")?,
                from,
                seeds,
                jobs: jobs.unwrap_or_else(|| available_parallelism().map_or(1, usize::from)),
                planted,
                until_violation: first,
            };
            run(&campaign, any_coverage)
        }
    }
}

fn replay(seed: u64, trace: bool, log: bool) -> ExitCode {
    let outcome = run_seed(seed, trace, log);
    let bad = outcome.harness.is_some() || outcome.violation.is_some();
    if bad && !trace && !log {
        for line in &outcome.last {
            println!("{line}");
        }
    }
    println!(
        "seed {seed} events={} hash={:016x} {}",
        outcome.events, outcome.hash, outcome.counts
    );
    if let Some(what) = &outcome.harness {
        println!("HARNESS: {what}");
        return ExitCode::from(EXIT_HARNESS);
    }
    if let Some(what) = &outcome.violation {
        println!("VIOLATION: {what}");
        println!("replay: mainstay-sim replay {seed} --trace");
        return ExitCode::from(EXIT_VIOLATION);
    }
    ExitCode::SUCCESS
}

fn run(campaign: &Campaign, any_coverage: bool) -> anyhow::Result<ExitCode> {
    let show = |report: &Report| {
        if report.verdict != Verdict::Held {
            println!("{}", report.text);
        }
    };
    let summary = campaign.run(&show)?;
    for (name, n) in &summary.counts {
        println!("{name:>24} {n}");
    }
    let minutes = summary.took.as_secs_f64() / 60.0;
    println!(
        "{} seeds from {} in {minutes:.1} min ({:.0} a minute), {} failed",
        summary.seeds,
        campaign.from,
        summary.seeds as f64 / minutes,
        summary.failed.len()
    );
    let failed = |verdict| summary.failed.iter().any(|r: &Report| r.verdict == verdict);
    if failed(Verdict::Violated) {
        return Ok(ExitCode::from(EXIT_VIOLATION));
    }
    let missing = summary.missing();
    if !missing.is_empty() && !any_coverage {
        println!("never happened: {}", missing.join(", "));
        return Ok(ExitCode::from(EXIT_HARNESS));
    }
    if failed(Verdict::Harness) {
        return Ok(ExitCode::from(EXIT_HARNESS));
    }
    Ok(ExitCode::SUCCESS)
}
