//! The program.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is what a program says"
)]

use anyhow::Result;
use clap::Parser;
use mainstay_jepsen::api::ApiNemesis;
use mainstay_jepsen::cli::{Cli, Command};
use mainstay_jepsen::nemesis::Nemesis;
use mainstay_jepsen::run::interrupted;
use mainstay_jepsen::verdict::Grade;
use mainstay_jepsen::workload::Workload;
use mainstay_jepsen::{api, menu, one, series};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use tokio::signal::unix::{SignalKind, signal};

/// When the program was asked to end.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Standard output or error may be closed; there is nobody to tell then.
            let _ = error.print();
            // The usual 2 would say that a checker could not decide.
            return match error.use_stderr() {
                true => Grade::HarnessFault.exit_code().into(),
                false => ExitCode::SUCCESS,
            };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return Grade::HarnessFault.exit_code().into();
        }
    };
    let result = runtime.block_on(async {
        tokio::spawn(listen_for_signals());
        obey(cli.command).await
    });
    match result {
        _ if interrupted().load(Ordering::Relaxed) => ExitCode::from(INTERRUPTED),
        Ok(grade) => grade.exit_code().into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            Grade::HarnessFault.exit_code().into()
        }
    }
}

/// The first signal ends the run in an orderly way, the second at once; members die with this process either way.
async fn listen_for_signals() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if interrupted().swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
        eprintln!("healing and cleaning up; once more ends at once");
    }
}

fn say(line: &str) {
    println!("{line}");
}

async fn obey(command: Command) -> Result<Grade> {
    match command {
        Command::Run(args) => {
            let (result, dir) = one::carry_out(&args.plan()?, say).await?;
            say(&series::verdict_line(&result));
            say(&format!("{}", dir.join("report.html").display()));
            Ok(result.grade)
        }
        Command::Apiserver(args) => {
            let (result, dir) = api::carry_out(&args.plan()?, say).await?;
            say(&series::verdict_line(&result));
            say(&format!("{}", dir.join("report.html").display()));
            Ok(result.grade)
        }
        Command::Apiservers(args) => api::menu(&args, say).await,
        Command::Menu(args) => {
            let plans = menu::menu(&args)?;
            if args.dry_run {
                plans.iter().for_each(|plan| println!("{}", plan.name()));
                return Ok(Grade::Valid);
            }
            series::series(&plans, say).await
        }
        Command::Short(args) => {
            let grade = series::series(&menu::short(&args)?, say).await?;
            Ok(grade.max(api::short(&args, say).await?))
        }
        Command::Check { dir } => {
            let result = match api::judge_again(&dir).await? {
                Some(result) => result,
                None => one::judge_again(&dir).await?,
            };
            say(&series::verdict_line(&result));
            for anomaly in &result.anomalies {
                say(&format!("{}: {}", anomaly.kind, anomaly.text));
            }
            Ok(result.grade)
        }
        Command::List => {
            println!("workloads");
            Workload::ALL
                .iter()
                .for_each(|workload| println!("  {workload:<20} {}", workload.about()));
            println!("\nnemeses");
            Nemesis::ALL
                .iter()
                .for_each(|nemesis| println!("  {nemesis:<20} {}", nemesis.about()));
            println!("\nnemeses of apiservers");
            ApiNemesis::ALL
                .iter()
                .for_each(|nemesis| println!("  {nemesis:<20} {}", nemesis.about()));
            Ok(Grade::Valid)
        }
        Command::Gap { kills, subject } => series::gap(&subject, kills, say).await,
        Command::Kills { rounds, subject } => {
            let turns = [
                (Workload::Mixed, Nemesis::Kill),
                (Workload::Append, Nemesis::KillLeader),
                (Workload::Register, Nemesis::KillAll),
                (Workload::Set, Nemesis::Kill),
            ];
            series::until(&subject, &turns, rounds, say).await
        }
        Command::Powercuts { rounds, subject } => {
            let turns = [
                (Workload::Mixed, Nemesis::PowerAll),
                (Workload::Append, Nemesis::Power),
                (Workload::Set, Nemesis::PowerAll),
                (Workload::Register, Nemesis::Power),
            ];
            series::until(&subject, &turns, rounds, say).await
        }
    }
}
