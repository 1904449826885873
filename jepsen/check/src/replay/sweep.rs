//! The walk over all revisions, with a search where authors are ambiguous.

use super::answers::differences;
use super::authors::{Authors, Found};
use super::evidence::Sightings;
use super::{Author, Entry, Index, Log};
use crate::history::{History, Op, Outcome};
use crate::limits::REPLAYED_AGAIN_MAX;
use crate::model::{Change, State};
use crate::verdict::{Anomaly, AnomalyKind, Report};

/// A revision with authors left to try.
struct Choice {
    revision: i64,
    rest: Vec<Author>,
    strong: bool,
    uncertain_before: u64,
}

pub(super) struct Sweep<'h, 'r> {
    history: &'h History,
    index: &'h Index,
    authors: Authors<'h>,
    report: &'r mut Report,
    state: State,
    entries: Vec<Entry>,
    used: Vec<bool>,
    choices: Vec<Choice>,
    /// What watches saw; gathered when it first matters.
    sightings: Option<Sightings<'h>>,
    /// Revisions so far whose changes rest on the choice of an author.
    uncertain: u64,
    /// Something was wrong that no other choice of authors can mend.
    definite: bool,
    replayed_again: u64,
    /// The search is not complete: what is found from here on proves nothing.
    incomplete: bool,
}

impl<'h, 'r> Sweep<'h, 'r> {
    pub(super) fn new(history: &'h History, index: &'h Index, report: &'r mut Report) -> Self {
        Self {
            history,
            index,
            authors: Authors::new(history, index),
            report,
            state: State::default(),
            entries: Vec::new(),
            used: vec![false; history.operations.len()],
            choices: Vec::new(),
            sightings: None,
            uncertain: 0,
            definite: false,
            replayed_again: 0,
            incomplete: false,
        }
    }

    pub(super) fn run(mut self) -> Log {
        for anomaly in &self.index.impossible {
            self.report.found(anomaly.clone());
        }
        self.push_empty();
        self.push_empty();
        let mut problems = self.judge_readers(1);
        self.settle(&mut problems);
        while self.last() < self.index.last {
            let revision = self.last() + 1;
            let mut problems = Vec::new();
            let author = self.choose(revision, &mut problems);
            self.step(revision, author, &mut problems);
            self.settle(&mut problems);
        }
        let left = self
            .authors
            .open
            .all
            .iter()
            .filter(|p| !self.used[**p as usize]);
        let never = left
            .filter(|p| self.history.operations[**p as usize].outcome == Outcome::Unknown)
            .count();
        self.report.count("unknown-without-trace", never);
        self.report.count(
            "revisions-tried-again",
            usize::try_from(self.replayed_again).unwrap_or(0),
        );
        Log {
            entries: self.entries,
        }
    }

    fn last(&self) -> i64 {
        i64::try_from(self.entries.len()).map_or(i64::MAX, |len| len - 1)
    }

    fn push_empty(&mut self) {
        self.entries.push(Entry {
            author: Author::Nobody,
            changes: Vec::new(),
            ambiguous: false,
        });
    }

    fn choose(&mut self, revision: i64, problems: &mut Vec<Anomaly>) -> (Author, bool) {
        if let Some(writer) = self.index.writer(revision) {
            return (Author::Acked(writer), false);
        }
        let found = self.authors.find(revision, &mut self.state, &self.used);
        if found.capped {
            self.give_up(format!(
                "too many requests may have made revision {revision}"
            ));
        }
        if self.is_hopeless(&found, revision) {
            // Perhaps the right one was taken for another revision; if not, no search helps.
            let nobody = vec![false; self.used.len()];
            let any = self.authors.find(revision, &mut self.state, &nobody);
            self.definite = self.is_hopeless(&any, revision);
        }
        let Found {
            authors: mut rest,
            strong,
            ..
        } = found;
        if rest.is_empty() {
            problems.push(self.nobody(revision));
            return (Author::Nobody, false);
        }
        let author = rest.remove(0);
        if !rest.is_empty() {
            rest.reverse();
            self.choices.push(Choice {
                revision,
                rest,
                strong,
                uncertain_before: self.uncertain,
            });
        }
        (author, strong)
    }

    fn is_hopeless(&self, found: &Found, revision: i64) -> bool {
        let best = found.authors.first();
        best.is_none_or(|author| self.authors.broken_lease(*author, revision).is_some())
    }

    fn step(&mut self, revision: i64, author: (Author, bool), problems: &mut Vec<Anomaly>) {
        let (author, strong) = author;
        problems.extend(self.authors.broken_lease(author, revision));
        let changes = match author {
            Author::Acked(writer) => self.judge_writer(revision, writer, problems),
            other => self.authors.apply(other, revision, &mut self.state),
        };
        if let Author::Unknown(position) = author {
            self.used[position as usize] = true;
        }
        let certain =
            matches!(author, Author::Acked(_)) || self.authors.is_certain(revision, &changes);
        self.uncertain += u64::from(!certain);
        let ambiguous = strong || (self.uncertain > 0 && !self.choices.is_empty());
        if self.is_contradicted(revision, &changes) {
            // A reason to look for other authors; if there are none, it is reported with the watch.
            problems.push(Anomaly::new(AnomalyKind::WatchWrong, "").at(revision));
        }
        self.entries.push(Entry {
            author,
            changes,
            ambiguous,
        });
        for position in self.index.doubles.get(&revision).into_iter().flatten() {
            let first = self.index.writer(revision).map(|first| self.id(first));
            let text = "two acknowledged writes name the same revision";
            problems.push(
                Anomaly::new(AnomalyKind::DuplicateRevision, text)
                    .ops(first)
                    .op(self.id(*position))
                    .at(revision),
            );
        }
        problems.extend(self.judge_readers(revision));
    }

    fn id(&self, position: u32) -> u64 {
        self.history.operations[position as usize].id
    }

    fn judge_writer(
        &mut self,
        revision: i64,
        writer: u32,
        problems: &mut Vec<Anomaly>,
    ) -> Vec<Change> {
        let operation = &self.history.operations[writer as usize];
        let Some((expected, changes)) = self.state.execute(&operation.op, revision) else {
            return Vec::new();
        };
        if changes.is_empty() {
            let text = "the answer says that something was written, but there was nothing to write";
            problems.push(
                Anomaly::new(AnomalyKind::NoWrite, text)
                    .op(operation.id)
                    .at(revision),
            );
        }
        if let Some(result) = &operation.result {
            let found = differences(&operation.op, &expected, &result.answer, &self.state);
            problems.extend(found.into_iter().map(|a| a.op(operation.id).at(revision)));
        }
        changes
    }

    fn judge_readers(&mut self, revision: i64) -> Vec<Anomaly> {
        let mut problems = Vec::new();
        let index = self.index;
        for (_, position) in index.readers(revision) {
            let operation = &self.history.operations[*position as usize];
            let Some(result) = &operation.result else {
                continue;
            };
            if let Op::LeaseRevoke { lease } = &operation.op {
                self.judge_revoke(revision, *lease, operation.id, &mut problems);
                continue;
            }
            let Some((expected, changes)) = self.state.execute(&operation.op, revision) else {
                continue;
            };
            self.state.undo(&changes);
            if !changes.is_empty() {
                let text =
                    "the answer says that nothing was written, but there was something to write";
                problems.push(
                    Anomaly::new(AnomalyKind::NoWrite, text)
                        .op(operation.id)
                        .at(revision),
                );
            }
            let found = differences(&operation.op, &expected, &result.answer, &self.state);
            problems.extend(found.into_iter().map(|a| a.op(operation.id).at(revision)));
        }
        problems
    }

    fn judge_revoke(&self, revision: i64, lease: i64, id: u64, problems: &mut Vec<Anomaly>) {
        if let Some(keys) = self.state.keys_of(lease) {
            let text = format!("lease {lease} is revoked but keys of it are left: {keys:?}");
            problems.push(
                Anomaly::new(AnomalyKind::LeaseKeysSurvive, text)
                    .op(id)
                    .at(revision),
            );
        }
    }

    /// Tries other authors when something is wrong, or reports it when there are none.
    fn settle(&mut self, problems: &mut Vec<Anomaly>) {
        if problems.is_empty() {
            return;
        }
        let by_author = problems.iter().any(|problem| {
            matches!(
                problem.kind,
                AnomalyKind::PhantomRevision
                    | AnomalyKind::PhantomWrite
                    | AnomalyKind::AbortedWrite
                    | AnomalyKind::LeaseTorn
                    | AnomalyKind::LeaseEarly
                    | AnomalyKind::LeaseResurrected
            )
        });
        let definite = self.uncertain == 0 && (!by_author || self.definite);
        self.definite = false;
        if !definite && !self.choices.is_empty() && !self.incomplete && self.back() {
            return;
        }
        for problem in problems.drain(..) {
            if problem.kind == AnomalyKind::WatchWrong {
                continue;
            }
            if self.incomplete && !definite {
                self.report.unknown.truncate(crate::limits::ANOMALIES_MAX);
                self.report.unknown.push(format!("not decided: {problem}"));
            } else {
                self.report.found(problem);
            }
        }
    }

    /// Goes back to the last choice and takes its next alternative.
    fn back(&mut self) -> bool {
        while let Some(mut choice) = self.choices.pop() {
            let Some(author) = choice.rest.pop() else {
                continue;
            };
            let (revision, strong) = (choice.revision, choice.strong);
            self.uncertain = choice.uncertain_before;
            if !choice.rest.is_empty() {
                self.choices.push(choice);
            }
            if !self.rewind(revision) {
                return false;
            }
            let mut problems = Vec::new();
            self.step(revision, (author, strong), &mut problems);
            if problems.is_empty() {
                return true;
            }
            if self.choices.is_empty() {
                self.settle(&mut problems);
                return true;
            }
        }
        false
    }

    fn is_contradicted(&mut self, revision: i64, changes: &[Change]) -> bool {
        if self.uncertain == 0 || self.choices.is_empty() {
            return false;
        }
        self.sightings
            .get_or_insert_with(|| Sightings::new(self.history))
            .contradict(revision, changes)
    }

    /// Takes back all entries from `revision` on.
    fn rewind(&mut self, revision: i64) -> bool {
        let again = self.last() - revision + 1;
        self.replayed_again += u64::try_from(again).unwrap_or(0);
        if self.replayed_again > REPLAYED_AGAIN_MAX {
            self.give_up("the search for the authors of unclaimed revisions was cut short".into());
            return false;
        }
        while self.last() >= revision {
            let Some(entry) = self.entries.pop() else {
                break;
            };
            self.state.undo(&entry.changes);
            if let Author::Unknown(position) = entry.author {
                self.used[position as usize] = false;
            }
        }
        true
    }

    fn give_up(&mut self, why: String) {
        if !self.incomplete {
            self.report.notes.push(why);
        }
        self.incomplete = true;
    }

    /// What to say about a revision that nobody can have made.
    fn nobody(&self, revision: i64) -> Anomaly {
        let facts = self.authors.facts(revision);
        if let Some(position) = facts
            .iter()
            .find_map(|fact| self.authors.open.aborted(fact))
        {
            let text = "a write that failed has happened";
            return Anomaly::new(AnomalyKind::AbortedWrite, text)
                .op(self.id(position))
                .at(revision);
        }
        let keys: Vec<_> = facts.iter().map(|fact| &fact.key).collect();
        let leased = facts
            .iter()
            .filter(|fact| fact.pair.is_none())
            .filter_map(|fact| self.state.get(&fact.key))
            .any(|stored| stored.lease != 0);
        let (kind, text) = if facts.is_empty() {
            let text = "this revision exists, but no request can have made it".into();
            (AnomalyKind::PhantomRevision, text)
        } else if leased {
            (
                AnomalyKind::LeaseTorn,
                format!("only a part of a lease's keys ended: {keys:?}"),
            )
        } else {
            (
                AnomalyKind::PhantomWrite,
                format!("no request can have written {keys:?}"),
            )
        };
        Anomaly::new(kind, text).at(revision)
    }
}
