//! The store's own account of what happened.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::history::{Change, Selection, State};

/// All changes in order, and those of each key.
#[derive(Debug)]
pub(super) struct Truth<'a> {
    pub(super) changes: Vec<&'a Change>,
    keys: BTreeMap<&'a str, Vec<&'a Change>>,
}

impl<'a> Truth<'a> {
    pub(super) fn new(changes: &'a [Change]) -> Self {
        let mut changes: Vec<&Change> = changes.iter().collect();
        changes.sort_by_key(|change| change.revision);
        let mut keys: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
        for &change in &changes {
            keys.entry(&change.key).or_default().push(change);
        }
        Self { changes, keys }
    }

    /// The changes of a key, in order.
    pub(super) fn of(&self, key: &str) -> &[&'a Change] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (&'a str, &[&'a Change])> {
        self.keys
            .iter()
            .map(|(key, changes)| (*key, changes.as_slice()))
    }

    /// The change of a key at exactly this revision.
    pub(super) fn exactly(&self, key: &str, revision: i64) -> Option<&'a Change> {
        let changes = self.of(key);
        let at = changes
            .binary_search_by_key(&revision, |change| change.revision)
            .ok()?;
        Some(changes[at])
    }

    /// The last change of a key up to a revision, this included.
    pub(super) fn upto(&self, key: &str, revision: i64) -> Option<&'a Change> {
        let changes = self.of(key);
        let at = changes.partition_point(|change| change.revision <= revision);
        at.checked_sub(1).map(|at| changes[at])
    }

    /// The first change of a key after a revision.
    pub(super) fn after(&self, key: &str, revision: i64) -> Option<&'a Change> {
        let changes = self.of(key);
        let at = changes.partition_point(|change| change.revision <= revision);
        changes.get(at).copied()
    }

    /// The object of a key at a revision, with its version.
    pub(super) fn state(&self, key: &str, revision: i64) -> Option<(i64, &'a State)> {
        let change = self.upto(key, revision)?;
        Some((change.revision, change.after.as_ref()?))
    }

    /// The changes after a revision.
    pub(super) fn since(&self, revision: i64) -> &[&'a Change] {
        let at = self
            .changes
            .partition_point(|change| change.revision <= revision);
        &self.changes[at..]
    }
}

/// The state at one revision after the other, in ascending order.
#[derive(Debug)]
pub(super) struct Sweep<'a, 't> {
    truth: &'t Truth<'a>,
    next: usize,
    live: BTreeMap<&'a str, (i64, &'a State)>,
}

impl<'a, 't> Sweep<'a, 't> {
    pub(super) fn new(truth: &'t Truth<'a>) -> Self {
        Self {
            truth,
            next: 0,
            live: BTreeMap::new(),
        }
    }

    /// Moves on; must not be asked to go back.
    pub(super) fn to(&mut self, revision: i64) {
        while let Some(change) = self.truth.changes.get(self.next)
            && change.revision <= revision
        {
            match &change.after {
                Some(state) => {
                    self.live.insert(&change.key, (change.revision, state));
                }
                None => {
                    self.live.remove(change.key.as_str());
                }
            }
            self.next += 1;
        }
    }

    /// What a selection shows: keys, versions and states in order of keys.
    pub(super) fn shown(
        &self,
        selection: &Selection,
    ) -> impl Iterator<Item = (&'a str, i64, &'a State)> {
        self.live
            .range::<str, _>((Bound::Included(selection.prefix.as_str()), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&selection.prefix))
            .filter(|(key, (_, state))| selection.wants(key, state))
            .map(|(key, (version, state))| (*key, *version, *state))
    }
}
