//! Revisions against real time: what had returned before another was called comes first.

use super::index::{watch_revision, wrote};
use super::{Author, Log};
use crate::history::{History, Op, Operation, Outcome};
use crate::verdict::{Anomaly, AnomalyKind, Report};

/// Whether an answer must reflect all that was known when it was asked for.
pub(super) fn is_linearizable(op: &Op) -> bool {
    match op {
        Op::Range(range) => !range.serializable,
        Op::Put(_) | Op::Delete(_) | Op::Compact { .. } => true,
        Op::Txn(txn) => {
            // A transaction of serializable reads only is one itself.
            let mut steps = txn.then.iter().chain(&txn.otherwise).peekable();
            steps.peek().is_none()
                || !steps.all(|step| matches!(step, Op::Range(range) if range.serializable))
        }
        Op::LeaseGrant(_) | Op::LeaseRevoke { .. } => true,
        Op::LeaseKeepAlive { .. } | Op::LeaseTtl { .. } | Op::HashKv { .. } => false,
    }
}

pub(super) fn check(history: &History, log: &Log, report: &mut Report) {
    not_stale(history, report);
    not_early(history, log, report);
}

/// The newest revision known at every moment, with the operation or watch that knew it.
pub(super) struct Known {
    /// (time, revision, operation or watch), revisions rising.
    steps: Vec<(u64, i64, Source)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Operation(u64),
    Watch(u64),
}

impl Known {
    pub(super) fn new(history: &History) -> Self {
        let answers = history.operations.iter().filter_map(|operation| {
            let revision = operation.result.as_ref()?.revision;
            Some((
                operation.returned?,
                revision,
                Source::Operation(operation.id),
            ))
        });
        let watches = history.watches.iter().map(|record| {
            (
                record.time,
                watch_revision(record),
                Source::Watch(record.watch),
            )
        });
        let mut all: Vec<_> = answers.chain(watches).collect();
        all.sort_unstable_by_key(|(time, revision, _)| (*time, *revision));
        let mut highest = 0;
        all.retain(|(_, revision, _)| {
            let rises = *revision > highest;
            highest = highest.max(*revision);
            rises
        });
        Self { steps: all }
    }

    /// What was known before a moment.
    pub(super) fn before(&self, time: u64) -> Option<(i64, Source)> {
        let after = self.steps.partition_point(|(at, _, _)| *at < time);
        self.steps[..after]
            .last()
            .map(|(_, revision, source)| (*revision, *source))
    }
}

impl Source {
    pub(super) fn name_in(self, anomaly: Anomaly) -> Anomaly {
        match self {
            Self::Operation(id) => anomaly.op(id),
            Self::Watch(id) => anomaly.watch(id),
        }
    }
}

fn not_stale(history: &History, report: &mut Report) {
    let known = Known::new(history);
    for operation in &history.operations {
        let Some(result) = &operation.result else {
            continue;
        };
        if !is_linearizable(&operation.op) {
            continue;
        }
        let Some((revision, source)) = known.before(operation.call) else {
            continue;
        };
        let writes = wrote(&result.answer);
        let got = result.revision;
        if got > revision || (got == revision && !writes) {
            continue;
        }
        let kind = if writes {
            AnomalyKind::RevisionBack
        } else {
            AnomalyKind::StaleRead
        };
        let text = format!("revision {revision} was known before the call, the answer is of {got}");
        report.found(source.name_in(Anomaly::new(kind, text).op(operation.id).at(got)));
    }
}

/// Nobody knows of a revision before its author was called.
fn not_early(history: &History, log: &Log, report: &mut Report) {
    // The latest call of any author up to a revision.
    let mut latest: Vec<(u64, u32)> = Vec::with_capacity(log.entries.len());
    let mut so_far = (0, u32::MAX);
    for entry in &log.entries {
        if let Author::Acked(position) | Author::Unknown(position) = entry.author {
            so_far = so_far.max((history.operations[position as usize].call, position));
        }
        latest.push(so_far);
    }
    let early = |revision: i64, time: u64| -> Option<u64> {
        let (call, position) = *latest.get(usize::try_from(revision).ok()?)?;
        (time < call).then(|| history.operations[position as usize].id)
    };
    for operation in &history.operations {
        let (Some(result), Some(returned)) = (&operation.result, operation.returned) else {
            continue;
        };
        if let Some(author) = early(result.revision, returned) {
            let text = "the answer knows of a write that was called only later";
            let anomaly = Anomaly::new(AnomalyKind::FutureRead, text);
            report.found(anomaly.op(operation.id).op(author).at(result.revision));
        }
    }
    for record in &history.watches {
        let revision = watch_revision(record);
        if let Some(author) = early(revision, record.time) {
            let text = "the watch knows of a write that was called only later";
            let anomaly = Anomaly::new(AnomalyKind::WatchFuture, text);
            report.found(anomaly.watch(record.watch).op(author).at(revision));
        }
    }
}

/// Compactions that may have happened and those that have.
pub(crate) struct Compactions {
    /// (call, revision, id) in the order of calls.
    asked: Vec<(u64, i64, u64)>,
    /// (return, revision, id) in the order of returns.
    done: Vec<(u64, i64, u64)>,
}

impl Compactions {
    pub(crate) fn new(history: &History) -> Self {
        let of = |operation: &Operation| match operation.op {
            Op::Compact { revision } => Some(revision),
            _ => None,
        };
        let mut asked = Vec::new();
        let mut done = Vec::new();
        for operation in &history.operations {
            let Some(revision) = of(operation) else {
                continue;
            };
            if operation.outcome != Outcome::Fail {
                asked.push((operation.call, revision, operation.id));
            }
            if let (Outcome::Ok, Some(returned)) = (operation.outcome, operation.returned) {
                done.push((returned, revision, operation.id));
            }
        }
        for list in [&mut asked, &mut done] {
            list.sort_unstable();
            // From each moment on, the highest so far.
            for at in 1..list.len() {
                if list[at - 1].1 > list[at].1 {
                    (list[at].1, list[at].2) = (list[at - 1].1, list[at - 1].2);
                }
            }
        }
        Self { asked, done }
    }

    /// The highest revision that may be compacted at a moment.
    pub(crate) fn possible(&self, time: u64) -> i64 {
        let after = self.asked.partition_point(|(call, _, _)| *call <= time);
        self.asked[..after]
            .last()
            .map_or(0, |(_, revision, _)| *revision)
    }

    /// The highest revision that is certainly compacted at a moment, and the operation that did it.
    pub(crate) fn certain(&self, time: u64) -> Option<(i64, u64)> {
        let after = self
            .done
            .partition_point(|(returned, _, _)| *returned < time);
        self.done[..after]
            .last()
            .map(|(_, revision, id)| (*revision, *id))
    }
}
