//! All checkers over one history.

use std::time::Duration;

use crate::history::{History, Reading};
use crate::replay::Index;
use crate::verdict::{HarnessFault, Judgement, Report, Verdict};
use crate::{coverage, cycles, leases, limits, members, replay, sets, shape, watches, wgl};

/// What may be spent.
#[derive(Debug, Clone)]
pub struct Options {
    /// For the searches of WGL, over all keys.
    pub search_time: Duration,
    /// Transactions given to the search for cycles at once; each costs about 7 KB.
    pub cycle_txns: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            search_time: limits::SEARCH_TIME,
            cycle_txns: limits::CYCLE_TXNS,
        }
    }
}

/// Judges what was read; lines that are no records are faults of the harness.
pub fn judge_reading(reading: &Reading, options: &Options) -> Judgement {
    let mut judgement = judge(&reading.history, options);
    for bad in &reading.bad {
        let text = format!("line {}: {}", bad.line, bad.reason);
        judgement.harness.push(HarnessFault::Malformed(text));
    }
    judgement
}

/// Runs all checkers. The replay decides; where it cannot, the search does. Watches, leases and members
/// are judged against the replayed log; cycles and sets are second opinions that do not use revisions.
pub fn judge(history: &History, options: &Options) -> Judgement {
    let mut harness = shape::check(history);
    harness.extend(coverage::check(history));
    let index = Index::new(history);
    let (replayed, log) = replay::run(history, &index);
    let decided = replayed.unknown.is_empty();
    let mut search = wgl::check(history, options.search_time);
    if decided {
        // The replay has decided these; a search cut short leaves nothing open.
        search.notes.append(&mut search.unknown);
    }
    let mut reports = vec![replayed, search];
    reports.push(watches::check(history, &log));
    reports.push(leases::check(history, &log));
    reports.push(members::check(history, &log));
    reports.push(sets::check(history));
    reports.push(cycles::check(history, options.cycle_txns));
    Judgement {
        verdict: merge(&reports),
        harness,
        reports,
    }
}

/// The verdict that follows from all reports.
pub(crate) fn merge(reports: &[Report]) -> Verdict {
    let anomalies: Vec<_> = reports
        .iter()
        .flat_map(|report| report.anomalies.clone())
        .collect();
    if !anomalies.is_empty() {
        return Verdict::Invalid { anomalies };
    }
    let why: Vec<_> = reports
        .iter()
        .flat_map(|report| {
            let checker = report.checker;
            report
                .unknown
                .iter()
                .map(move |why| format!("{checker}: {why}"))
        })
        .collect();
    if why.is_empty() {
        Verdict::Valid
    } else {
        Verdict::Unknown { why }
    }
}
