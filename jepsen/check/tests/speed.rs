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
