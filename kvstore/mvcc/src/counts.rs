//! Exact counts of many keys without reading them all.
//!
//! A count at revision R is what the table of [`Fences`] says at its own revision T, plus the pieces of
//! the range that the table does not know, scanned at R, plus or minus what the event log says was
//! created and deleted between T and R. So it belongs to exactly the reader's revision whatever the writer
//! does meanwhile. In the same way a count at an old revision follows from the current one. Where the log
//! would be too long or a compaction may have cut it, everything is scanned.

use crate::fences::{Doubtful, Fences, Learned, Piece, Plan};
use crate::limits::{
    COUNT_FENCE_KEY_BYTES_MAX, COUNT_INSTALL_ATTEMPTS_MAX, COUNT_LOG_EVENTS_MIN, COUNT_PIECES_MAX,
    CountLimits,
};
use crate::log::LogRecord;
use crate::view::{Span, View};
use crate::{MvccError, keys};
use mainstay_engine::{Cf, Direction, Read};
use parking_lot::RwLock;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

/// The table, as writer and readers share it. Locked for a look or a change, never while the engine is
/// read.
#[derive(Debug)]
pub(crate) struct Counts {
    /// `None` once a write has failed: nobody knows what the engine holds.
    fences: RwLock<Option<Fences>>,
    limits: CountLimits,
    from_table: AtomicU64,
    from_log: AtomicU64,
    learned: AtomicU64,
}

/// Called with the key of a creation (true) or deletion (false).
type VisitEvent<'f> = dyn FnMut(&[u8], bool) -> Result<(), Doubtful> + 'f;

/// How counts were taken since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountStats {
    /// Counts that did not have to read every key.
    pub from_table: u64,
    /// Those of them that read the event log because the table stood at another revision.
    pub from_log: u64,
    /// Ranges that were added to the table.
    pub learned: u64,
}

/// The latest state beside a reader's snapshot.
pub(crate) trait Latest {
    fn counts(&self) -> &Counts;
    /// The engine itself, whose log has all events up to the table's revision.
    fn engine(&self) -> &dyn Read;
    fn compacted(&self) -> i64;
}

impl Counts {
    pub(crate) fn new(revision: i64, limits: CountLimits) -> Self {
        Self {
            fences: RwLock::new(Some(Fences::new(revision, limits.interval_keys))),
            limits,
            from_table: AtomicU64::new(0),
            from_log: AtomicU64::new(0),
            learned: AtomicU64::new(0),
        }
    }

    pub(crate) fn limits(&self) -> &CountLimits {
        &self.limits
    }

    pub(crate) fn stats(&self) -> CountStats {
        CountStats {
            from_table: self.from_table.load(Ordering::Relaxed),
            from_log: self.from_log.load(Ordering::Relaxed),
            learned: self.learned.load(Ordering::Relaxed),
        }
    }

    /// To be called when the engine, its log included, holds `revision`. See [`Fences::advance`].
    pub(crate) fn advance<'k>(
        &self,
        revision: i64,
        changes: impl Iterator<Item = (&'k [u8], bool)>,
    ) {
        if let Some(fences) = &mut *self.fences.write() {
            fences.advance(revision, changes);
        }
    }

    /// Ends fast counts for good.
    pub(crate) fn disable(&self) {
        *self.fences.write() = None;
    }

    fn clear(&self) {
        if let Some(fences) = &mut *self.fences.write() {
            fences.clear();
        }
    }

    fn plan(&self, start: &[u8], end: Option<&[u8]>) -> Option<Plan> {
        let fences = self.fences.read();
        Some(fences.as_ref()?.plan(start, end))
    }

    fn revision(&self) -> Option<i64> {
        self.fences.read().as_ref().map(Fences::revision)
    }

    /// Adds what was found at `revision`, unless the table has moved on meanwhile.
    fn install(&self, learned: &mut Vec<Learned>, revision: i64) -> bool {
        let mut fences = self.fences.write();
        let Some(fences) = fences.as_mut().filter(|f| f.revision() == revision) else {
            return false;
        };
        for learned in learned.drain(..) {
            if fences.install(learned).is_err() {
                return true;
            }
            self.learned.fetch_add(1, Ordering::Relaxed);
        }
        true
    }
}

impl<R: Read + ?Sized> View<'_, R> {
    /// The number of keys in `[start, end)` at a revision that was resolved.
    pub(crate) fn count(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        revision: i64,
    ) -> Result<i64, MvccError> {
        if end.is_some_and(|end| start >= end) {
            return Ok(0);
        }
        if let Some(count) = self.fast_count(start, end, revision.min(self.engine_revision))? {
            let pending = self
                .overlay
                .map_or(0, |overlay| overlay.net_in(start, end, revision));
            return Ok(count + pending);
        }
        let mut count = 0;
        self.visit(Span::Range(start, end), revision, &mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// The engine's keys at `revision`; `None` if all must be scanned.
    fn fast_count(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        revision: i64,
    ) -> Result<Option<i64>, MvccError> {
        let counts = self.latest.counts();
        let behind = self.engine_revision - revision;
        if behind > int(counts.limits.log_events) {
            return Ok(None);
        }
        let Some(plan) = counts.plan(start, end) else {
            return Ok(None);
        };
        let scanned = self.scan_pieces(&plan)?;
        let Some(moved) = self.moved_since(&plan, start, end)? else {
            return Ok(None);
        };
        let mut count = i64::try_from(plan.known).unwrap_or(i64::MAX) + scanned + moved;
        if count < 0 {
            counts.clear();
            return Ok(None);
        }
        if behind > 0 {
            // The longer the scan that is spared, the more of the log is worth reading.
            let events_max =
                int(counts.limits.log_events).min((count / 2).max(COUNT_LOG_EVENTS_MIN));
            let within = |key: &[u8]| start <= key && end.is_none_or(|end| key < end);
            let since = (revision, self.engine_revision);
            let net = self.net_events(self.read, since, events_max, &within)?;
            match net {
                Some(net) if net <= count => count -= net,
                _ => return Ok(None),
            }
        }
        if plan.known_intervals > 0 {
            counts.from_table.fetch_add(1, Ordering::Relaxed);
            if behind > 0 || plan.revision != self.engine_revision {
                counts.from_log.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(Some(count))
    }

    /// What has to be added to the plan's known keys to get from its revision to the view's.
    fn moved_since(
        &self,
        plan: &Plan,
        start: &[u8],
        end: Option<&[u8]>,
    ) -> Result<Option<i64>, MvccError> {
        let known = |key: &[u8]| {
            start <= key
                && end.is_none_or(|end| key < end)
                && !plan.pieces.iter().any(|piece| piece.contains(key))
        };
        let (table, view) = (plan.revision, self.engine_revision);
        let max = int(self.latest.counts().limits.log_events);
        if plan.known_intervals == 0 || table == view {
            Ok(Some(0))
        } else if table < view {
            self.net_events(self.read, (table, view), max, &known)
        } else {
            let net = self.net_events(self.latest.engine(), (view, table), max, &known)?;
            Ok(net.map(|net| -net))
        }
    }

    /// Creations less deletions after one revision up to another; `None` if the log cannot tell.
    fn net_events<L: Read + ?Sized>(
        &self,
        log: &L,
        (after, up_to): (i64, i64),
        events_max: i64,
        within: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Option<i64>, MvccError> {
        let mut net = 0;
        let complete = self.events(log, (after, up_to), events_max, &mut |key, created| {
            if within(key) {
                net += if created { 1 } else { -1 };
            }
            Ok(())
        })?;
        Ok(complete.then_some(net))
    }

    /// Calls `f` for every creation (true) and deletion (false) after one revision up to another. False if
    /// that was not everything.
    fn events<L: Read + ?Sized>(
        &self,
        log: &L,
        (after, up_to): (i64, i64),
        events_max: i64,
        f: &mut VisitEvent<'_>,
    ) -> Result<bool, MvccError> {
        // Every revision has an event.
        if up_to - after > events_max || after < 0 {
            return Ok(false);
        }
        let start = keys::log_key(after + 1, 0);
        let end = keys::log_key(up_to + 1, 0);
        let mut cursor = log.cursor(Cf::Log, &start, Some(&end), Direction::Ascending)?;
        let mut events = 0;
        while let Some((_, stored)) = cursor.item() {
            let event = LogRecord::decode(stored)?;
            events += 1;
            let created = event.put.as_ref().map(|put| put.version == 1);
            let doubtful = match created {
                Some(false) => false,
                Some(true) => f(event.key, true).is_err(),
                None => f(event.key, false).is_err(),
            };
            if events > events_max || doubtful {
                return Ok(false);
            }
            cursor.advance()?;
        }
        // Otherwise events may have been dropped while they were read.
        Ok(self.latest.compacted() <= after)
    }

    /// Counts what the plan leaves open, and lets the table learn from it if that was much.
    fn scan_pieces(&self, plan: &Plan) -> Result<i64, MvccError> {
        let limits = self.latest.counts().limits;
        let mut count = 0;
        let mut learned = Vec::new();
        for piece in &plan.pieces {
            let (found, intervals) = self.scan_piece(piece, limits.interval_keys)?;
            count += found;
            learned.extend(intervals);
        }
        if count >= int(limits.learn_keys) || plan.pieces.len() > COUNT_PIECES_MAX {
            self.teach(learned)?;
        }
        Ok(count)
    }

    fn scan_piece(
        &self,
        piece: &Piece,
        interval_keys: u32,
    ) -> Result<(i64, Option<Learned>), MvccError> {
        let fits = |key: &[u8]| key.len() <= COUNT_FENCE_KEY_BYTES_MAX;
        let learn = piece.learn && fits(&piece.start) && piece.end.as_deref().is_none_or(fits);
        let mut count = 0;
        let mut fences = vec![piece.start.clone()];
        let mut counts = vec![0u32];
        let mut current = 0u32;
        self.read.scan(
            Cf::Live,
            &piece.start,
            piece.end.as_deref(),
            Direction::Ascending,
            &mut |key, _| {
                count += 1;
                if learn && current >= interval_keys && fits(key) {
                    counts.push(0);
                    fences.push(key.into());
                    current = 0;
                }
                current = current.saturating_add(1);
                if let Some(last) = counts.last_mut() {
                    *last = current;
                }
                ControlFlow::Continue(())
            },
        )?;
        let learned = learn.then_some(Learned {
            end: piece.end.clone(),
            keys: fences,
            counts,
        });
        Ok((count, learned))
    }

    /// Brings what was found at the view's revision to the table's, and adds it. Gives up rather than wait
    /// for the writer.
    fn teach(&self, mut learned: Vec<Learned>) -> Result<(), MvccError> {
        let counts = self.latest.counts();
        let mut revision = self.engine_revision;
        for _ in 0..COUNT_INSTALL_ATTEMPTS_MAX {
            if learned.is_empty() {
                return Ok(());
            }
            let Some(table) = counts.revision().filter(|table| *table >= revision) else {
                return Ok(());
            };
            if table > revision {
                let max = int(counts.limits.log_events);
                let since = (revision, table);
                let complete =
                    self.events(self.latest.engine(), since, max, &mut |key, created| {
                        learned.iter_mut().try_for_each(|l| l.shift(key, created))
                    })?;
                if !complete {
                    return Ok(());
                }
                revision = table;
            }
            if counts.install(&mut learned, revision) {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn int(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
