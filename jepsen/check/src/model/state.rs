//! The pairs, what they were at earlier revisions, and which keys hang on which lease.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::change::Change;
use super::range::span;
use crate::history::{Blob, KeyValue};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) value: Blob,
    pub(crate) create: i64,
    pub(crate) modified: i64,
    pub(crate) version: i64,
    pub(crate) lease: i64,
}

impl Stored {
    pub(crate) fn pair(&self, key: &Blob) -> KeyValue {
        KeyValue {
            key: key.clone(),
            value: self.value.clone(),
            create: self.create,
            modified: self.modified,
            version: self.version,
            lease: self.lease,
        }
    }
}

impl From<&KeyValue> for Stored {
    fn from(kv: &KeyValue) -> Self {
        Self {
            value: kv.value.clone(),
            create: kv.create,
            modified: kv.modified,
            version: kv.version,
            lease: kv.lease,
        }
    }
}

/// The store at its newest revision, with all of its past.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    live: BTreeMap<Blob, Stored>,
    past: BTreeMap<Blob, Vec<(i64, Option<Stored>)>>,
    leases: HashMap<i64, BTreeSet<Blob>>,
}

impl State {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Stored> {
        self.live.get(key)
    }

    /// The pair as it was at a revision.
    pub(crate) fn get_at(&self, key: &[u8], revision: i64) -> Option<&Stored> {
        let versions = self.past.get(key)?;
        let after = versions.partition_point(|(at, _)| *at <= revision);
        versions[..after].last()?.1.as_ref()
    }

    pub(crate) fn keys_of(&self, lease: i64) -> Option<&BTreeSet<Blob>> {
        self.leases.get(&lease)
    }

    /// Leases that have keys.
    pub(crate) fn leases(&self) -> impl Iterator<Item = i64> + '_ {
        self.leases.keys().copied()
    }

    pub(super) fn scan<'a>(
        &'a self,
        key: &Blob,
        end: &Blob,
    ) -> impl Iterator<Item = (&'a Blob, &'a Stored)> + use<'a> {
        span(key, end)
            .map(|span| self.live.range(span))
            .into_iter()
            .flatten()
    }

    pub(super) fn scan_at<'a>(
        &'a self,
        key: &Blob,
        end: &Blob,
        revision: i64,
    ) -> impl Iterator<Item = (&'a Blob, &'a Stored)> + use<'a> {
        span(key, end)
            .map(|span| self.past.range(span))
            .into_iter()
            .flatten()
            .filter_map(move |(key, versions)| {
                let after = versions.partition_point(|(at, _)| *at <= revision);
                let stored = versions[..after].last()?.1.as_ref()?;
                Some((key, stored))
            })
    }

    /// Sets or removes one pair at a revision.
    pub(crate) fn set(&mut self, key: &Blob, after: Option<Stored>, revision: i64) -> Change {
        let before = self.place(key, after.clone());
        self.past
            .entry(key.clone())
            .or_default()
            .push((revision, after.clone()));
        Change {
            key: key.clone(),
            before,
            after,
        }
    }

    /// Takes back changes that were the newest, in the order in which they were made.
    pub(crate) fn undo(&mut self, changes: &[Change]) {
        for change in changes.iter().rev() {
            self.place(&change.key, change.before.clone());
            if let Some(versions) = self.past.get_mut(&change.key) {
                versions.pop();
            }
        }
    }

    fn place(&mut self, key: &Blob, after: Option<Stored>) -> Option<Stored> {
        let lease = after.as_ref().map_or(0, |stored| stored.lease);
        let before = match after {
            Some(stored) => self.live.insert(key.clone(), stored),
            None => self.live.remove(key),
        };
        let old = before.as_ref().map_or(0, |stored| stored.lease);
        if old != lease {
            self.detach(key, old);
            if lease != 0 {
                self.leases.entry(lease).or_default().insert(key.clone());
            }
        }
        before
    }

    fn detach(&mut self, key: &Blob, lease: i64) {
        if let Some(keys) = self.leases.get_mut(&lease) {
            keys.remove(key);
            if keys.is_empty() {
                self.leases.remove(&lease);
            }
        }
    }
}
