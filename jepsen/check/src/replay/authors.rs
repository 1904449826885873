//! Who may have made a revision that nobody claims.

use std::collections::HashSet;

use super::Author;
use super::evidence::{Evidence, Fact};
use super::index::Index;
use super::open::Open;
use crate::history::{History, Op, Outcome};
use crate::leases::Bounds;
use crate::limits::CANDIDATES_MAX;
use crate::model::{Change, State};
use crate::verdict::Anomaly;

pub(super) struct Authors<'h> {
    history: &'h History,
    index: &'h Index,
    pub(super) open: Open,
    evidence: Evidence,
    bounds: Bounds,
}

/// Possible authors, best first.
#[derive(Default)]
pub(super) struct Found {
    pub(super) authors: Vec<Author>,
    /// They differ in what they change.
    pub(super) strong: bool,
    /// There were too many to try all.
    pub(super) capped: bool,
}

impl<'h> Authors<'h> {
    pub(super) fn new(history: &'h History, index: &'h Index) -> Self {
        Self {
            history,
            index,
            open: Open::new(history),
            evidence: Evidence::new(history, index),
            bounds: Bounds::new(history),
        }
    }

    /// Whether watches prove these changes, whoever made them.
    pub(super) fn is_certain(&self, revision: i64, changes: &[Change]) -> bool {
        self.evidence.is_whole(revision)
            && changes.len() == self.facts(revision).len()
            && misfit(self.facts(revision), changes) == Some(0)
    }

    pub(super) fn facts(&self, revision: i64) -> &[Fact] {
        self.evidence.of(revision)
    }

    pub(super) fn find(&self, revision: i64, state: &mut State, used: &[bool]) -> Found {
        let facts = self.facts(revision);
        let (possible, capped) = self.possible(revision, facts, state, used);
        let mut fitting: Vec<(usize, Author, Vec<Change>)> = Vec::new();
        for author in possible {
            let changes = self.apply(author, revision, state);
            state.undo(&changes);
            let Some(misfit) = misfit(facts, &changes) else {
                continue;
            };
            let same = fitting
                .iter()
                .any(|(_, other, _)| self.alike(*other, author));
            if !same {
                fitting.push((misfit, author, changes));
            }
        }
        fitting.sort_by_key(|(misfit, author, _)| {
            let broken = self.broken_lease(*author, revision).is_some();
            (*misfit, broken, matches!(author, Author::Expired(_)))
        });
        if self.evidence.is_whole(revision) {
            let exact = |changes: &[Change]| changes.len() == facts.len();
            if fitting.iter().any(|(_, _, changes)| exact(changes)) {
                fitting.retain(|(_, _, changes)| exact(changes));
            }
        }
        let strong = fitting.windows(2).any(|pair| pair[0].2 != pair[1].2);
        Found {
            authors: fitting.into_iter().map(|(_, author, _)| author).collect(),
            strong,
            capped,
        }
    }

    /// What a lease had promised, if this author broke it.
    pub(super) fn broken_lease(&self, author: Author, revision: i64) -> Option<Anomaly> {
        let by = self.index.seen_by(revision);
        let broken = match author {
            Author::Expired(lease) => self.bounds.expired(lease, by),
            Author::Unknown(position) => match self.history.operations[position as usize].op {
                Op::LeaseRevoke { lease } => self.bounds.ended(lease, by),
                _ => None,
            },
            Author::Acked(_) | Author::Nobody => None,
        };
        broken.map(|anomaly| anomaly.at(revision))
    }

    /// Makes the changes of an author.
    pub(super) fn apply(&self, author: Author, revision: i64, state: &mut State) -> Vec<Change> {
        match author {
            Author::Acked(position) | Author::Unknown(position) => {
                let op = &self.history.operations[position as usize].op;
                state
                    .execute(op, revision)
                    .map_or_else(Vec::new, |(_, changes)| changes)
            }
            Author::Expired(lease) => {
                let mut changes = Vec::new();
                state.end_lease(lease, revision, &mut changes);
                changes
            }
            Author::Nobody => self.force(revision, state),
        }
    }

    /// What the facts say, so that one unexplained revision is not reported again and again.
    fn force(&self, revision: i64, state: &mut State) -> Vec<Change> {
        let facts = self.facts(revision).iter();
        facts
            .map(|fact| state.set(&fact.key, fact.pair.as_ref().map(Into::into), revision))
            .collect()
    }

    fn possible(
        &self,
        revision: i64,
        facts: &[Fact],
        state: &State,
        used: &[bool],
    ) -> (Vec<Author>, bool) {
        let telling = facts
            .iter()
            .max_by_key(|fact| (fact.pair.is_some(), fact.with_value));
        let (positions, leases) = match telling {
            Some(fact) => {
                let lease = state.get(&fact.key).map_or(0, |stored| stored.lease);
                let leases = if fact.pair.is_none() && lease != 0 {
                    vec![lease]
                } else {
                    Vec::new()
                };
                (self.open.causing(fact, lease), leases)
            }
            None => (self.open.all.clone(), state.leases().collect()),
        };
        let seen_by = self.index.seen_by(revision);
        let mut known = HashSet::new();
        let mut authors: Vec<Author> = positions
            .into_iter()
            .filter(|position| !used[*position as usize] && known.insert(*position))
            .filter(|position| self.may_be(*position, revision, seen_by))
            .take(CANDIDATES_MAX + 1)
            .map(Author::Unknown)
            .collect();
        authors.extend(leases.into_iter().map(Author::Expired));
        let capped = authors.len() > CANDIDATES_MAX;
        authors.truncate(CANDIDATES_MAX);
        (authors, capped)
    }

    fn may_be(&self, position: u32, revision: i64, seen_by: u64) -> bool {
        let operation = &self.history.operations[position as usize];
        let answered = operation.outcome == Outcome::Ok;
        let bound = operation
            .result
            .as_ref()
            .map_or(i64::MAX, |result| result.revision);
        operation.call <= seen_by && (!answered || revision <= bound)
    }

    /// Whether it makes no difference which of the two it was.
    fn alike(&self, one: Author, other: Author) -> bool {
        let (Author::Unknown(one), Author::Unknown(other)) = (one, other) else {
            return one == other;
        };
        let (one, other) = (
            &self.history.operations[one as usize],
            &self.history.operations[other as usize],
        );
        one.op == other.op && !matches!(one.op, Op::LeaseRevoke { .. })
    }
}

/// How badly changes fit what was seen; None when they contradict it.
fn misfit(facts: &[Fact], changes: &[Change]) -> Option<usize> {
    if changes.is_empty() {
        return None;
    }
    let mut inexact = 0;
    for fact in facts {
        let change = changes.iter().find(|change| change.key == fact.key)?;
        if !fact.fits(change) {
            return None;
        }
        inexact += usize::from(!fact.fits_exactly(change));
    }
    Some(inexact * 1000 + changes.len().saturating_sub(facts.len()))
}
