//! What the requests of one batch have changed and the engine does not hold yet.

use crate::record::Record;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The keys touched by a batch, in order. Also remembers the records read on the way.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    slots: BTreeMap<Bytes, Slot>,
}

/// One key: what the engine holds and the versions since, oldest first.
#[derive(Debug)]
pub(crate) struct Slot {
    base: Option<Record>,
    /// Versions before the last one. Mostly empty.
    older: Vec<Version>,
    last: Option<Version>,
}

#[derive(Debug)]
struct Version {
    revision: i64,
    /// `None` after a delete.
    record: Option<Record>,
}

/// What the overlay knows about a key at some revision.
pub(crate) enum Known<'a> {
    /// This is the state.
    State(Option<&'a Record>),
    /// The key was not changed up to that revision: the engine knows.
    Unchanged,
}

impl Slot {
    pub(crate) fn new(base: Option<Record>) -> Self {
        Self {
            base,
            older: Vec::new(),
            last: None,
        }
    }

    /// The latest state.
    pub(crate) fn current(&self) -> Option<&Record> {
        match &self.last {
            Some(version) => version.record.as_ref(),
            None => self.base.as_ref(),
        }
    }

    pub(crate) fn set(&mut self, revision: i64, record: Option<Record>) {
        let last = self.last.replace(Version { revision, record });
        self.older.extend(last);
    }

    /// The state to write to `live`, if it changed: `Some(None)` to delete what is there.
    pub(crate) fn change(&self) -> Option<Option<&Record>> {
        let last = self.last.as_ref()?;
        (last.record.is_some() || self.base.is_some()).then_some(last.record.as_ref())
    }

    /// Whether the last change was made by `revision`.
    pub(crate) fn changed_at(&self, revision: i64) -> bool {
        self.last.as_ref().is_some_and(|v| v.revision == revision)
    }

    fn at(&self, revision: i64) -> Known<'_> {
        self.last
            .iter()
            .chain(self.older.iter().rev())
            .find(|version| version.revision <= revision)
            .map_or(Known::Unchanged, |version| {
                Known::State(version.record.as_ref())
            })
    }
}

impl Overlay {
    pub(crate) fn slot(&self, key: &[u8]) -> Option<&Slot> {
        self.slots.get(key)
    }

    pub(crate) fn slot_mut(&mut self, key: &[u8]) -> Option<&mut Slot> {
        self.slots.get_mut(key)
    }

    /// Remembers the state of a key in the engine, unless it is known.
    pub(crate) fn learn(&mut self, key: Bytes, base: Option<Record>) -> &mut Slot {
        self.slots.entry(key).or_insert_with(|| Slot::new(base))
    }

    /// What is known about `key` at `revision`. `engine_revision` is the revision the engine stands at.
    pub(crate) fn at(&self, key: &[u8], revision: i64, engine_revision: i64) -> Known<'_> {
        let Some(slot) = self.slots.get(key) else {
            return Known::Unchanged;
        };
        match slot.at(revision) {
            Known::Unchanged if revision >= engine_revision => Known::State(slot.base.as_ref()),
            known => known,
        }
    }

    /// The keys in `[start, end)` changed at or before `revision`, with their state then.
    pub(crate) fn changed_in<'a>(
        &'a self,
        start: &[u8],
        end: Option<&[u8]>,
        revision: i64,
    ) -> impl Iterator<Item = (&'a Bytes, Option<&'a Record>)> {
        let end = match end {
            Some(end) if end <= start => Bound::Excluded(start),
            Some(end) => Bound::Excluded(end),
            None => Bound::Unbounded,
        };
        self.slots
            .range::<[u8], _>((Bound::Included(start), end))
            .filter_map(move |(key, slot)| match slot.at(revision) {
                Known::State(record) => Some((key, record)),
                Known::Unchanged => None,
            })
    }

    /// Keys in `[start, end)` created less those deleted at or before `revision`.
    pub(crate) fn net_in(&self, start: &[u8], end: Option<&[u8]>, revision: i64) -> i64 {
        self.changed_in(start, end, revision)
            .map(|(key, state)| {
                let before = self.slot(key).is_some_and(|slot| slot.base.is_some());
                i64::from(state.is_some()) - i64::from(before)
            })
            .sum()
    }

    /// The keys the batch creates (true) and deletes (false) in the engine.
    pub(crate) fn births(&self) -> impl Iterator<Item = (&[u8], bool)> {
        self.iter().filter_map(|(key, slot)| {
            let exists = slot.current().is_some();
            (exists != slot.base.is_some()).then_some((&key[..], exists))
        })
    }

    /// All keys with their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Slot)> {
        self.slots.iter()
    }
}
