//! How fast a large history is judged.

mod support;

use std::time::Instant;

use mainstay_check::history::{HistoryWriter, Record, read_history};
use mainstay_check::{Options, Verdict, judge};
use support::world::{Plan, simulate};

/// `cargo test --release -p mainstay-check --test speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, not a check"]
fn two_hundred_thousand_operations() {
    let plan = Plan {
        operations: 200_000,
        clients: 20,
        keys: 50,
        watches: 20,
        unknown: 1,
        ..Plan::new(1)
    };
    let history = simulate(plan);
    let (operations, records) = (history.operations.len(), history.watches.len());
    let started = Instant::now();
    let judgement = judge(&history, &Options::default());
    let took = started.elapsed();
    println!(
        "{operations} operations and {records} watch responses in {took:.2?}: {:.0} operations/s",
        operations as f64 / took.as_secs_f64()
    );
    for report in &judgement.reports {
        println!("{} {:?} {:?}", report.checker, report.figures, report.notes);
    }
    assert_eq!(judgement.verdict, Verdict::Valid);

    let mut writer = HistoryWriter::new(Vec::new());
    let started = Instant::now();
    for operation in &history.operations {
        writer.write(&Record::Operation(operation.clone())).unwrap();
    }
    let file = writer.finish().unwrap();
    println!("written in {:.2?}, {} bytes", started.elapsed(), file.len());
    let started = Instant::now();
    let reading = read_history(file.as_slice()).unwrap();
    println!("read in {:.2?}", started.elapsed());
    assert_eq!(reading.history.operations, history.operations);
}

/// One wrong answer in the middle is found as fast, with and without a watcher of everything.
#[test]
#[ignore = "a measurement, not a check"]
fn one_wrong_answer_among_two_hundred_thousand() {
    use support::mutate::{is_current_read, pairs, pairs_mut};
    for full_watch in [true, false] {
        let mut history = simulate(Plan {
            operations: 200_000,
            clients: 20,
            keys: 50,
            unknown: 1,
            full_watch,
            ..Plan::new(2)
        });
        let wrong = history.operations[100_000..]
            .iter_mut()
            .find(|read| is_current_read(read) && !pairs(read).is_empty())
            .unwrap();
        pairs_mut(wrong)[0].version += 1;
        let started = Instant::now();
        let judgement = judge(&history, &Options::default());
        let verdict = match &judgement.verdict {
            Verdict::Valid => "valid".to_owned(),
            Verdict::Invalid { anomalies } => format!("invalid: {}", anomalies[0]),
            Verdict::Unknown { why } => format!("unknown: {why:?}"),
        };
        let verdict: String = verdict.chars().take(300).collect();
        println!(
            "full watch {full_watch}: {:.2?}, {verdict}",
            started.elapsed()
        );
        assert_ne!(judgement.verdict, Verdict::Valid);
    }
}
