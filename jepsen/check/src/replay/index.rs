//! What the history says about each revision.

use std::collections::HashMap;

use crate::history::{Answer, History, Op, Operation, Outcome, WatchNews, WatchRecord};
use crate::verdict::{Anomaly, AnomalyKind};

/// No operation.
const NONE: u32 = u32::MAX;

/// Claims, readers and first sightings, by revision.
#[derive(Debug)]
pub(crate) struct Index {
    /// The newest revision there can be.
    pub(crate) last: i64,
    writers: Vec<u32>,
    /// Revisions claimed more than once: the further claims.
    pub(super) doubles: HashMap<i64, Vec<u32>>,
    /// (revision, operation), sorted: answers that must hold just after that revision.
    readers: Vec<(i64, u32)>,
    /// When somebody first knew that this revision, or a later one, exists.
    seen_by: Vec<u64>,
    /// Answers that name impossible revisions.
    pub(super) impossible: Vec<Anomaly>,
}

/// Whether the answer says that something was written.
pub(crate) fn wrote(answer: &Answer) -> bool {
    match answer {
        Answer::Put { .. } => true,
        Answer::Delete { deleted, .. } => *deleted > 0,
        Answer::Txn { responses, .. } => responses.iter().any(wrote),
        _ => false,
    }
}

/// The highest revision a watch response speaks of.
pub(crate) fn watch_revision(record: &WatchRecord) -> i64 {
    let events = match &record.news {
        WatchNews::Events(events) => events.iter().map(|event| event.kv.modified).max(),
        _ => None,
    };
    record.header_revision.max(events.unwrap_or(0))
}

/// Where an answer is to be judged: just after this revision.
fn judged_at(operation: &Operation, header: i64) -> Option<i64> {
    match &operation.op {
        Op::Range(range) if range.revision > 0 => Some(range.revision),
        Op::Range(_) | Op::Delete(_) | Op::Txn(_) | Op::LeaseRevoke { .. } => Some(header),
        _ => None,
    }
}

impl Index {
    pub(crate) fn new(history: &History) -> Self {
        let mut index = Self {
            last: plausible_last(history),
            writers: Vec::new(),
            doubles: HashMap::new(),
            readers: Vec::new(),
            seen_by: Vec::new(),
            impossible: Vec::new(),
        };
        index.last = index.last.min(highest(history)).max(1);
        let slots = usize::try_from(index.last).unwrap_or(0) + 1;
        index.writers = vec![NONE; slots];
        index.seen_by = vec![u64::MAX; slots];
        for (position, operation) in history.operations.iter().enumerate() {
            index.add(u32::try_from(position).unwrap_or(NONE), operation);
        }
        for record in &history.watches {
            index.see(watch_revision(record), record.time);
        }
        index.readers.sort_unstable();
        for slot in (1..slots).rev() {
            index.seen_by[slot - 1] = index.seen_by[slot - 1].min(index.seen_by[slot]);
        }
        index
    }

    fn add(&mut self, position: u32, operation: &Operation) {
        let Some(result) = &operation.result else {
            return;
        };
        if operation.outcome != Outcome::Ok {
            return;
        }
        let revision = result.revision;
        if revision < 1 || revision > self.last {
            let text = format!("the answer names revision {revision}, which cannot exist");
            self.impossible.push(
                Anomaly::new(AnomalyKind::PhantomRevision, text)
                    .op(operation.id)
                    .at(revision),
            );
            return;
        }
        self.see(revision, operation.returned.unwrap_or(u64::MAX));
        if wrote(&result.answer) {
            let slot = usize::try_from(revision).unwrap_or(0);
            if self.writers[slot] == NONE {
                self.writers[slot] = position;
            } else {
                self.doubles.entry(revision).or_default().push(position);
            }
        } else if let Some(at) = judged_at(operation, revision) {
            if at > revision {
                let text =
                    format!("a read at revision {at} succeeded when {revision} was the newest");
                self.impossible.push(
                    Anomaly::new(AnomalyKind::FutureRead, text)
                        .op(operation.id)
                        .at(at),
                );
            } else {
                self.readers.push((at, position));
            }
        }
    }

    fn see(&mut self, revision: i64, time: u64) {
        let revision = revision.clamp(0, self.last);
        if let Some(seen) = usize::try_from(revision)
            .ok()
            .and_then(|r| self.seen_by.get_mut(r))
        {
            *seen = (*seen).min(time);
        }
    }

    /// The operation that says it made the revision.
    pub(crate) fn writer(&self, revision: i64) -> Option<u32> {
        let slot = usize::try_from(revision).ok()?;
        self.writers
            .get(slot)
            .copied()
            .filter(|writer| *writer != NONE)
    }

    pub(super) fn readers(&self, revision: i64) -> &[(i64, u32)] {
        let from = self.readers.partition_point(|(at, _)| *at < revision);
        let to = self.readers.partition_point(|(at, _)| *at <= revision);
        &self.readers[from..to]
    }

    /// When somebody first knew that the revision exists; `u64::MAX` for never.
    pub(crate) fn seen_by(&self, revision: i64) -> u64 {
        usize::try_from(revision)
            .ok()
            .and_then(|slot| self.seen_by.get(slot).copied())
            .unwrap_or(u64::MAX)
    }
}

/// Every revision needs a request that wrote or the end of a lease.
fn plausible_last(history: &History) -> i64 {
    let authors = history
        .operations
        .iter()
        .filter(|operation| {
            operation.outcome != Outcome::Fail
                && matches!(
                    operation.op,
                    Op::Put(_)
                        | Op::Delete(_)
                        | Op::Txn(_)
                        | Op::LeaseRevoke { .. }
                        | Op::LeaseGrant(_)
                )
        })
        .count();
    // One more, so that a single revision too many is found where it is.
    i64::try_from(authors).unwrap_or(i64::MAX - 2) + 2
}

fn highest(history: &History) -> i64 {
    let answers = history
        .operations
        .iter()
        .filter_map(|operation| operation.result.as_ref())
        .map(|result| result.revision);
    let watches = history.watches.iter().map(watch_revision);
    answers.chain(watches).max().unwrap_or(1)
}
