//! Hurts a running cluster of hosts on this machine in every way that its users must survive, and says what they saw.
//!
//! Needs root and what `mainstay doctor` asks for. The cluster is made for it and gone afterwards, whatever happens.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tells its user what it does and found"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum as _};
use mainstay_component_tests::stack::Stack;
use mainstay_component_tests::stack::faults::{Case, Findings, Ground, Measure};

/// Faults on a running cluster: three masters, workers with containers, clients that never stop asking.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Only these; may be a list
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Case>,
    /// Hosts with a control plane
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=7))]
    masters: u8,
    /// Hosts for pods
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=10))]
    workers: u8,
    /// Times that each master is killed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Seconds without any master
    #[arg(long, default_value_t = 600)]
    outage: u32,
    /// Folder of the cluster, deleted afterwards [default: a temporary one]
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    if let Some(missing) = Stack::obstacle() {
        eprintln!("this machine cannot run a cluster with containers: {missing}");
        return ExitCode::FAILURE;
    }
    let cases = match flags.only.is_empty() {
        true => Case::value_variants().to_vec(),
        false => flags.only.clone(),
    };
    let work = hurt(&flags, &cases);
    // Dropped half-way, everything is taken down as at its end.
    let rows = tokio::select! {
        rows = work => rows,
        _ = tokio::signal::ctrl_c() => return ExitCode::FAILURE,
    };
    println!("{}", table(&rows));
    match rows.iter().all(|(_, _, done)| done.is_ok()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

type Row = (Case, Duration, Result<Findings, String>);

async fn hurt(flags: &Flags, cases: &[Case]) -> Vec<Row> {
    let (masters, workers) = (usize::from(flags.masters), usize::from(flags.workers));
    let stack = Stack::up(flags.dir.as_deref(), masters, workers).await;
    eprintln!("up after {:.1?}", stack.up_took);
    let measure = Measure {
        rounds: usize::from(flags.rounds),
        outage: Duration::from_secs(u64::from(flags.outage)),
    };
    let ground = Ground::lay(&stack).await;
    let mut rows = Vec::new();
    for case in cases {
        let begun = Instant::now();
        let done = case.run(&ground, measure).await;
        let took = begun.elapsed();
        match &done {
            Ok(_) => eprintln!("{}: fine ({took:.0?})", case.name()),
            Err(why) => eprintln!("{}: {why} ({took:.0?})", case.name()),
        }
        rows.push((*case, took, done));
        ground.heal().await;
    }
    rows
}

fn table(rows: &[Row]) -> String {
    let mut lines = vec![
        "| case | result | seconds | figure | |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for (case, took, done) in rows {
        let seconds = took.as_secs();
        match done {
            Err(why) => {
                let why = why.replace('|', "/").replace('\n', " ");
                lines.push(format!(
                    "| {} | **FAILED** | {seconds} | {why} | |",
                    case.name()
                ));
            }
            Ok(findings) => {
                let mut head = format!("| {} | ok | {seconds} |", case.name());
                for (name, value) in findings {
                    lines.push(format!("{head} {name} | {value} |"));
                    "| | | |".clone_into(&mut head);
                }
            }
        }
    }
    lines.join("\n")
}
