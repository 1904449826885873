//! All checkers over one history.

use crate::history::LogLevel;
use crate::judge::merge;
use crate::verdict::{Anomaly, AnomalyKind, HarnessFault, Judgement, Report};

use super::history::{ApiHistory, ApiReading};
use super::moments::Moments;
use super::truth::Truth;
use super::{coverage, endings, informers, lists, objects, reads, services, writes};

/// Judges what was read; lines that are no records are faults of the harness.
pub fn judge_api(reading: &ApiReading) -> Judgement {
    let history = &reading.history;
    let truth = Truth::new(&history.changes);
    let moments = Moments::new(history);
    let mut harness = coverage::check(history, &truth);
    harness.extend(reading.bad.iter().map(|bad| {
        let text = format!("line {}: {}", bad.line, bad.reason);
        HarnessFault::Malformed(text)
    }));
    let reports = vec![
        writes::check(history, &truth, &moments),
        objects::check(&truth),
        reads::check(history, &truth, &moments),
        lists::check(history, &truth, &moments),
        informers::check(history, &truth, &moments),
        services::check(&truth),
        endings::check(history),
        logs(history),
    ];
    Judgement {
        verdict: merge(&reports),
        harness,
        reports,
    }
}

fn logs(history: &ApiHistory) -> Report {
    let mut report = Report::new("logs");
    for finding in &history.logs {
        report.count("findings", 1);
        let bad = !finding.expected && finding.level >= LogLevel::Fatal;
        if bad {
            let text = format!("s{}: {}", finding.member, finding.text);
            report.found(Anomaly::new(AnomalyKind::LogFinding, text));
        }
    }
    report
}
