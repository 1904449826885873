//! What the members say of themselves: the same data everywhere, and nothing alarming in their logs.

use std::collections::HashMap;

use crate::history::{Answer, History, LogLevel};
use crate::replay::Log;
use crate::verdict::{Anomaly, AnomalyKind, Report};

pub(crate) fn check(history: &History, log: &Log) -> Report {
    let mut report = Report::new("members");
    facts(history, log, &mut report);
    hashes(history, &mut report);
    logs(history, &mut report);
    report
}

fn facts(history: &History, log: &Log, report: &mut Report) {
    report.count("facts", history.members.len());
    for facts in &history.members {
        if facts.revision < log.last() {
            let text = format!(
                "member {} ends at revision {}, but {} was known",
                facts.member,
                facts.revision,
                log.last()
            );
            report.found(Anomaly::new(AnomalyKind::LostWrite, text).at(facts.revision));
        }
    }
    let Some(first) = history.members.first() else {
        return;
    };
    let key =
        |facts: &crate::history::MemberFacts| (facts.revision, facts.hash, facts.compact_revision);
    for other in &history.members[1..] {
        if key(first) != key(other) {
            let text = format!(
                "member {} has (revision, hash, compacted) {:?}, member {} has {:?}",
                first.member,
                key(first),
                other.member,
                key(other)
            );
            report.found(Anomaly::new(AnomalyKind::ReplicasDiffer, text).at(first.revision));
        }
    }
}

/// Answers to hash requests at the same revision and compaction.
fn hashes(history: &History, report: &mut Report) {
    let mut known: HashMap<(i64, i64), (u32, u64)> = HashMap::new();
    for operation in &history.operations {
        let Some(Answer::HashKv {
            hash,
            hash_revision,
            compact_revision,
        }) = operation.result.as_ref().map(|result| &result.answer)
        else {
            continue;
        };
        let place = (*hash_revision, *compact_revision);
        let (first, id) = *known.entry(place).or_insert((*hash, operation.id));
        if first != *hash {
            let text = format!("hashes {first} and {hash} at the same revision and compaction");
            report.found(
                Anomaly::new(AnomalyKind::ReplicasDiffer, text)
                    .op(id)
                    .op(operation.id)
                    .at(*hash_revision),
            );
        }
    }
    report.count("hashed-revisions", known.len());
}

fn logs(history: &History, report: &mut Report) {
    for finding in &history.logs {
        if finding.expected || finding.level < LogLevel::Error {
            report.count("log-lines-expected-or-warnings", 1);
            continue;
        }
        let text = format!(
            "member {} logged {:?}: {}",
            finding.member, finding.level, finding.text
        );
        report.found(Anomaly::new(AnomalyKind::LogFinding, text));
    }
}
