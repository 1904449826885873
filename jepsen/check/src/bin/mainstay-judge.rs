//! `mainstay-judge FILE [--json]`: judges one recorded history.
//!
//! Exit status: 0 valid, 1 invalid, 2 unknown, 3 the history cannot be read or breaks the rules of
//! recording, 4 valid but the run did not do what it had to.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the verdict is this program's output"
)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use mainstay_check::history::{BadLine, read_file};
use mainstay_check::{HarnessFault, Judgement, Options, Verdict, judge_reading};

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    arguments.retain(|argument| argument != "--json");
    let [file] = arguments.as_slice() else {
        eprintln!("usage: mainstay-judge FILE [--json]");
        return ExitCode::from(3);
    };
    let started = Instant::now();
    let reading = match read_file(Path::new(file)) {
        Ok(reading) => reading,
        Err(error) => {
            eprintln!("cannot read {file}: {error}");
            return ExitCode::from(3);
        }
    };
    for BadLine { line, reason } in &reading.bad {
        eprintln!("{file}:{line}: {reason}");
    }
    let judgement = judge_reading(&reading, &Options::default());
    if json {
        match serde_json::to_string_pretty(&judgement) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("cannot write the verdict: {error}"),
        }
    } else {
        tell(&judgement);
        let operations = reading.history.operations.len();
        println!(
            "{operations} operations judged in {:.1?}",
            started.elapsed()
        );
    }
    status(&judgement)
}

fn tell(judgement: &Judgement) {
    for report in &judgement.reports {
        println!(
            "{}: {} anomalies {:?}",
            report.checker, report.anomaly_count, report.figures
        );
        for note in &report.notes {
            println!("  note: {note}");
        }
    }
    for fault in &judgement.harness {
        println!("harness: {fault:?}");
    }
    match &judgement.verdict {
        Verdict::Valid => println!("valid"),
        Verdict::Invalid { anomalies } => {
            println!("invalid");
            for anomaly in anomalies {
                println!("  {anomaly}");
            }
        }
        Verdict::Unknown { why } => {
            println!("unknown");
            for why in why {
                println!("  {why}");
            }
        }
    }
}

fn status(judgement: &Judgement) -> ExitCode {
    let malformed = |fault: &HarnessFault| matches!(fault, HarnessFault::Malformed(_));
    if judgement.harness.iter().any(malformed) {
        return ExitCode::from(3);
    }
    match judgement.verdict {
        Verdict::Invalid { .. } => ExitCode::from(1),
        Verdict::Unknown { .. } => ExitCode::from(2),
        Verdict::Valid if !judgement.harness.is_empty() => ExitCode::from(4),
        Verdict::Valid => ExitCode::SUCCESS,
    }
}
