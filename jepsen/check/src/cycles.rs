//! Second opinion: cycles of dependencies between transactions, by the `adya` crate.
//!
//! Uses the values that were read and written, never revisions. Under the prefixes of
//! [`crate::history::RunInfo::lists`] a put whose transaction guards the key by its modification is "read
//! the list, append its last number"; under those of `registers` a put writes a value that is unique to its
//! key. Strict serializability is asked for in both cases.

mod extract;

use std::collections::HashMap;

use adya::history::{History as Txns, Interner, Mop, Op as Step, OpType, Scalar};
use adya::{Opts, Valid, Workload};

use self::extract::{Kind, Transaction, extract};
use crate::history::{Blob, History, Outcome};
use crate::verdict::{Anomaly, AnomalyKind, Report};

pub(crate) fn check(history: &History, txns_max: usize) -> Report {
    let mut report = Report::new("cycles");
    for prefix in &history.run.lists {
        run(history, prefix, Kind::Lists, txns_max, &mut report);
    }
    for prefix in &history.run.registers {
        run(history, prefix, Kind::Registers, txns_max, &mut report);
    }
    report
}

fn run(history: &History, prefix: &Blob, kind: Kind, txns_max: usize, report: &mut Report) {
    let mut names = Interner::default();
    let txns = extract(history, prefix, kind, &mut names, report);
    let components = components(&txns);
    report.count("transactions", txns.len());
    report.count("components", components.len());
    for component in components {
        let mut own: Vec<&Transaction> = component.into_iter().map(|at| &txns[at]).collect();
        own.sort_by_key(|txn| txn.call);
        let cutoff = own.get(txns_max).map_or(u64::MAX, |txn| txn.call);
        if own.len() > txns_max {
            let skipped = own.len() - txns_max;
            report.notes.push(format!(
                "{prefix:?}: {skipped} of {} connected transactions left out",
                own.len()
            ));
            report.count("transactions-left-out", skipped);
            own.truncate(txns_max);
        }
        judge(&own, cutoff, kind, &names, history, report);
    }
}

/// Positions of transactions that are connected by keys.
fn components(txns: &[Transaction]) -> Vec<Vec<usize>> {
    let mut parent: Vec<usize> = (0..txns.len()).collect();
    let mut by_key = HashMap::new();
    for (at, txn) in txns.iter().enumerate() {
        for mop in txn.done.iter().chain(&txn.asked) {
            let first = *by_key.entry(mop.key()).or_insert(at);
            let (a, b) = (root(&mut parent, first), root(&mut parent, at));
            parent[a] = b;
        }
    }
    let mut groups: HashMap<usize, Vec<usize>> = HashMap::new();
    for at in 0..txns.len() {
        groups.entry(root(&mut parent, at)).or_default().push(at);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort();
    groups
}

fn root(parent: &mut [usize], mut at: usize) -> usize {
    while parent[at] != at {
        parent[at] = parent[parent[at]];
        at = parent[at];
    }
    at
}

/// Invocations and completions in the order of time. What had not returned at the cutoff is of unknown
/// outcome for this purpose.
fn judge(
    txns: &[&Transaction],
    cutoff: u64,
    kind: Kind,
    names: &Interner,
    history: &History,
    report: &mut Report,
) {
    let mut steps: Vec<(u64, bool, Step)> = Vec::with_capacity(txns.len() * 2);
    for (process, txn) in (0..).zip(txns) {
        let step = |kind, time: u64, value: &[Mop]| Step {
            index: u64::from(txn.position),
            kind,
            process: Some(process),
            value: value.to_vec(),
            time: i64::try_from(time).ok(),
        };
        let (outcome, at) = match txn.returned {
            Some(at) if at < cutoff => (txn.outcome, at),
            _ => (Outcome::Unknown, u64::MAX),
        };
        steps.push((txn.call, true, step(OpType::Invoke, txn.call, &txn.asked)));
        let end = match outcome {
            Outcome::Ok => step(OpType::Ok, at, &txn.done),
            Outcome::Fail => step(OpType::Fail, at, &txn.asked),
            Outcome::Unknown => step(OpType::Info, at, &txn.asked),
        };
        steps.push((at, false, end));
    }
    // Equal times are concurrent: calls come first.
    steps.sort_by_key(|(time, call, _)| (*time, !*call));
    let steps = steps.into_iter().map(|(_, _, step)| step).collect();
    let txns = Txns::from_ops(steps, names.clone());
    let workload = match kind {
        Kind::Lists => Workload::ListAppend,
        Kind::Registers => Workload::RwRegister,
    };
    let options = Opts {
        linearizable_keys: kind == Kind::Registers,
        wfr_keys: false,
        ..Opts::default()
    };
    let opinion = adya::check(&txns, workload, &options);
    match opinion.valid {
        Valid::True => {}
        Valid::False => {
            for anomaly in opinion.anomalies.values().flatten() {
                let ids = anomaly.ops.iter().filter_map(|position| {
                    let position = usize::try_from(*position).ok()?;
                    history
                        .operations
                        .get(position)
                        .map(|operation| operation.id)
                });
                let text = format!("{}: {}", anomaly.kind, anomaly.explanation);
                report.found(Anomaly::new(AnomalyKind::Cycle, text).ops(ids));
            }
        }
        Valid::Unknown => {
            let types = opinion.anomaly_types.join(", ");
            report
                .notes
                .push(format!("a component was not decided: {types}"));
        }
    }
}

fn name(names: &mut Interner, blob: &Blob) -> u32 {
    names.intern(Scalar::Str(blob.to_string()))
}
