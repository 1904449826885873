//! Reading the state at a revision: the engine's records with those of an unfinished batch on top.

use crate::MvccError;
use crate::counts::Latest;
use crate::keys;
use crate::limits::HIST_STEPS_BEFORE_SEEK;
use crate::overlay::{Known, Overlay};
use crate::record::{Record, RecordRef};
use mainstay_engine::{Cf, Cursor, Direction, Read};
use std::cell::Cell;
use std::ops::ControlFlow;

/// One consistent state of the store and its past.
pub(crate) struct View<'a, R: ?Sized> {
    pub read: &'a R,
    /// Changes the engine does not hold yet.
    pub overlay: Option<&'a Overlay>,
    /// The revision of the engine's latest records.
    pub engine_revision: i64,
    /// The current revision, changes of the overlay included.
    pub revision: i64,
    pub compacted: i64,
    /// The store as it is by now.
    pub latest: &'a dyn Latest,
    /// The oldest revision that was resolved for reading.
    pub oldest_read: Cell<i64>,
}

/// The keys a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span<'a> {
    Key(&'a [u8]),
    /// `[start, end)`, to the last key if `end` is `None`.
    Range(&'a [u8], Option<&'a [u8]>),
}

impl<'a> Span<'a> {
    /// An empty `range_end` means one key, a single zero byte means all keys from `key` on.
    pub(crate) fn new(key: &'a [u8], range_end: &'a [u8]) -> Self {
        match range_end {
            [] => Self::Key(key),
            [0] => Self::Range(key, None),
            end => Self::Range(key, Some(end)),
        }
    }
}

/// Called with key and record, in key order.
pub(crate) type VisitRecord<'f> = dyn FnMut(&[u8], RecordRef<'_>) -> ControlFlow<()> + 'f;

impl<R: Read + ?Sized> View<'_, R> {
    /// The revision to read at: `requested`, or the current one if it is 0 or negative.
    pub(crate) fn resolve(&self, requested: i64) -> Result<i64, MvccError> {
        if requested > self.revision {
            return Err(MvccError::FutureRevision);
        }
        let revision = if requested <= 0 {
            self.revision
        } else {
            requested
        };
        if revision < self.compacted {
            return Err(MvccError::Compacted);
        }
        self.oldest_read.set(self.oldest_read.get().min(revision));
        Ok(revision)
    }

    /// The record of `key` at `revision`.
    pub(crate) fn get(&self, key: &[u8], revision: i64) -> Result<Option<Record>, MvccError> {
        if let Some(overlay) = self.overlay
            && let Known::State(record) = overlay.at(key, revision, self.engine_revision)
        {
            return Ok(record.cloned());
        }
        let live = match self.read.get(Cf::Live, key)? {
            Some(stored) => Some(Record::decode(stored, key)?),
            None => None,
        };
        if revision >= self.engine_revision || live.as_ref().is_some_and(|r| r.modified <= revision)
        {
            return Ok(live);
        }
        self.get_old(key, revision)
    }

    /// The superseded record of `key` that was current at `revision`.
    fn get_old(&self, key: &[u8], revision: i64) -> Result<Option<Record>, MvccError> {
        let start = keys::hist_key(key, revision);
        let end = keys::hist_key(key, 0);
        let cursor = self
            .read
            .cursor(Cf::Hist, &start, Some(&end), Direction::Ascending)?;
        let Some((_, stored)) = cursor.item() else {
            return Ok(None);
        };
        let (superseded, record) = RecordRef::decode_hist(stored, key)?;
        Ok((superseded > revision).then(|| record.to_owned()))
    }

    /// Visits the records of `span` at `revision` in key order.
    pub(crate) fn visit(
        &self,
        span: Span<'_>,
        revision: i64,
        f: &mut VisitRecord<'_>,
    ) -> Result<(), MvccError> {
        match span {
            Span::Key(key) => {
                if let Some(record) = self.get(key, revision)? {
                    let _ = f(key, record.as_ref());
                }
                Ok(())
            }
            Span::Range(start, Some(end)) if start >= end => Ok(()),
            Span::Range(start, end) => self.visit_range(start, end, revision, f),
        }
    }

    /// Lays the overlay's changes over the engine's records.
    fn visit_range(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        revision: i64,
        f: &mut VisitRecord<'_>,
    ) -> Result<(), MvccError> {
        let mut changed = self
            .overlay
            .into_iter()
            .flat_map(|overlay| overlay.changed_in(start, end, revision))
            .peekable();
        if changed.peek().is_none() {
            return self.visit_engine(start, end, revision, f);
        }
        let mut stopped = false;
        self.visit_engine(start, end, revision, &mut |key, record| {
            let mut hidden = false;
            while let Some((at, state)) = changed.next_if(|(at, _)| at[..] <= *key) {
                hidden = at[..] == *key;
                if let Some(state) = state
                    && f(at, state.as_ref()).is_break()
                {
                    stopped = true;
                    return ControlFlow::Break(());
                }
            }
            if !hidden && f(key, record).is_break() {
                stopped = true;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        if stopped {
            return Ok(());
        }
        for (key, state) in changed {
            if let Some(state) = state
                && f(key, state.as_ref()).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// The engine's own records at `revision`.
    fn visit_engine(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        revision: i64,
        f: &mut VisitRecord<'_>,
    ) -> Result<(), MvccError> {
        if revision < self.engine_revision {
            return self.visit_old(start, end, revision, f);
        }
        let mut damage = None;
        self.read.scan(
            Cf::Live,
            start,
            end,
            Direction::Ascending,
            &mut |key, stored| match RecordRef::decode(stored, key) {
                Ok(record) => f(key, record),
                Err(e) => {
                    damage = Some(e);
                    ControlFlow::Break(())
                }
            },
        )?;
        damage.map_or(Ok(()), Err)
    }

    /// Merges `live` and `hist`: a key has at most one record that was current at `revision`.
    fn visit_old(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        revision: i64,
        f: &mut VisitRecord<'_>,
    ) -> Result<(), MvccError> {
        let hist_end = end.map(keys::hist_prefix);
        let mut live = self
            .read
            .cursor(Cf::Live, start, end, Direction::Ascending)?;
        let mut old = OldRecords {
            cursor: self.read.cursor(
                Cf::Hist,
                &keys::hist_prefix(start),
                hist_end.as_deref(),
                Direction::Ascending,
            )?,
            revision,
            key: Vec::new(),
            seek: Vec::new(),
        };
        let mut has_old = old.settle()?;
        loop {
            let newer = live.item();
            let take_live = match (newer, has_old) {
                (None, false) => return Ok(()),
                (Some(_), false) => true,
                (None, true) => false,
                // Equal keys: at most one of the two was current then, so their order does not matter.
                (Some((key, _)), true) => *key <= old.key[..],
            };
            if take_live {
                if let Some((key, stored)) = newer {
                    let record = RecordRef::decode(stored, key)?;
                    if record.modified <= revision && f(key, record).is_break() {
                        return Ok(());
                    }
                }
                live.advance()?;
            } else {
                if f(&old.key, old.record()?).is_break() {
                    return Ok(());
                }
                old.cursor.advance()?;
                has_old = old.settle()?;
            }
        }
    }
}

/// The records of `hist` that were current at a revision.
struct OldRecords<'a> {
    cursor: Box<dyn Cursor + 'a>,
    revision: i64,
    /// The user's key the cursor stands on.
    key: Vec<u8>,
    seek: Vec<u8>,
}

impl OldRecords<'_> {
    /// Moves on to the next record that was current; false at the end.
    fn settle(&mut self) -> Result<bool, MvccError> {
        let mut steps = 0;
        loop {
            let Some((stored_key, stored)) = self.cursor.item() else {
                return Ok(false);
            };
            let superseded = mainstay_engine::superseded_at(stored)
                .ok_or_else(|| MvccError::corrupt("old record", stored_key))?;
            let modified = keys::hist_revision(stored_key)?;
            let newer = modified > self.revision;
            if !newer && self.revision < superseded {
                keys::split_hist(stored_key, &mut self.key)?;
                return Ok(true);
            }
            steps += 1;
            if steps < HIST_STEPS_BEFORE_SEEK {
                self.cursor.advance()?;
                continue;
            }
            // A key with many versions: go to the one sought, or past all of the key's versions.
            steps = 0;
            let target = if newer { self.revision } else { 0 };
            if modified <= target {
                return Err(MvccError::corrupt("history key", stored_key));
            }
            self.seek.clear();
            self.seek.extend_from_slice(keys::hist_key_part(stored_key));
            self.seek.extend_from_slice(&keys::inverted(target));
            self.cursor.seek(&self.seek)?;
        }
    }

    fn record(&self) -> Result<RecordRef<'_>, MvccError> {
        let (_, stored) = self
            .cursor
            .item()
            .ok_or_else(|| MvccError::corrupt("old record", &self.key))?;
        Ok(RecordRef::decode_hist(stored, &self.key)?.1)
    }
}
