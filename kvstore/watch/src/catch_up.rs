//! Watchers that start in the past or lost touch with the ring, one bounded step at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::batch::{Batch, EncodedEvent};
use crate::body::Body;
use crate::deliver::write_events;
use crate::frame::Writer;
use crate::limits::{
    HISTORY_BYTES_MAX, HISTORY_CHUNKS_MAX, HISTORY_REVISIONS_MAX, RECENT_REVISIONS_MAX,
    RESPONSE_BYTES_MAX, SCAN_EVENTS_MAX,
};
use crate::range::Range;
use crate::ring::Ring;
use crate::stream::Slot;
use crate::sub::{Flags, Watcher};
use crate::{History, HistoryError, Shard};
use mainstay_planted::{Bug, has};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The watcher is level, or gone.
    Done,
    /// There is more to do.
    Again,
    /// History cannot be read now.
    Failed,
}

/// What was found between two revisions for a range and variant.
#[derive(Debug)]
struct Found {
    events: Vec<EncodedEvent>,
    body: Body,
    to: i64,
}

/// What was read lately, for others that catch up at the same place.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    chunks: VecDeque<Arc<Batch>>,
    /// The latest outcome, by group, cursor, variant.
    found: Option<(u32, i64, Flags, Arc<Found>)>,
    /// Where the shard stood when it was used last.
    at: i64,
}

impl Recent {
    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
        self.found = None;
    }

    /// Nobody catches up now: forgets everything once it is unlikely to be wanted again.
    pub(crate) fn age(&mut self, head: i64) {
        if head - self.at > RECENT_REVISIONS_MAX {
            self.clear();
        }
    }

    /// A group's number may come to mean another range.
    pub(crate) fn forget_group(&mut self) {
        self.found = None;
    }

    fn chunk(&self, revision: i64) -> Option<Arc<Batch>> {
        let holds = |c: &&Arc<Batch>| (c.first..=c.last).contains(&revision);
        self.chunks.iter().find(holds).map(Arc::clone)
    }

    fn keep(&mut self, chunk: Arc<Batch>) {
        if self.chunks.len() == HISTORY_CHUNKS_MAX {
            self.chunks.pop_front();
        }
        self.chunks.push_back(chunk);
    }
}

/// Gathers a range's events of whole revisions from batches.
struct Gather<'a> {
    range: &'a Range,
    /// The hash of a range that is one key: most other keys are told from it by theirs.
    hash: Option<u64>,
    variant: Flags,
    from: i64,
    events: Vec<EncodedEvent>,
    bytes: usize,
    scanned: usize,
}

impl Gather<'_> {
    /// Takes from a batch until it is done or there is enough. Returns the last revision looked at completely.
    fn take(&mut self, batch: &Batch) -> i64 {
        let prev_kv = self.variant.has(Flags::PREV_KV);
        let mut revision = None;
        for event in &batch.events[batch.position(self.from)..] {
            if let Some(done) = revision
                && done != event.revision
                && self.is_full()
            {
                return done;
            }
            revision = Some(event.revision);
            self.scanned += 1;
            if self.hash.is_none_or(|hash| hash == event.hash)
                && self.variant.admits(event.delete)
                && self.range.contains(event.key())
            {
                self.bytes += event.wire_len(prev_kv);
                self.events.push(event.clone());
            }
        }
        batch.last
    }

    fn is_full(&self) -> bool {
        self.bytes >= RESPONSE_BYTES_MAX || self.scanned >= SCAN_EVENTS_MAX
    }

    fn take_ring(&mut self, ring: &Ring, head: i64) -> i64 {
        for batch in ring.from(self.from) {
            let to = self.take(batch);
            if to < batch.last || (self.is_full() && to < head) {
                return to;
            }
        }
        head
    }

    fn found(self, to: i64) -> Found {
        let events: Vec<_> = self.events.iter().collect();
        let body = Body::of(&events, self.variant.has(Flags::PREV_KV));
        Found {
            events: self.events,
            body,
            to,
        }
    }
}

impl Shard {
    fn watcher_mut(&mut self, stream: u32, id: i64) -> Option<(u32, &mut Watcher)> {
        let slot = self.streams[stream as usize].ids.get(&id)?;
        let &Slot::Live { sub, at } = slot else {
            return None;
        };
        let sub = &mut self.subs[sub as usize];
        Some((sub.group, &mut sub.watchers.as_mut_slice()[at as usize]))
    }

    /// One step of a watcher that is not level.
    pub(crate) fn catch_up(
        &mut self,
        stream: u32,
        id: i64,
        nonce: u32,
        history: &dyn History,
        writer: &mut Writer<'_>,
    ) -> Step {
        let Some((group, watcher)) = self.watcher_mut(stream, id) else {
            return Step::Done;
        };
        if watcher.nonce != nonce || !watcher.flags.has(Flags::UNSYNCED) {
            return Step::Done;
        }
        let (cursor, flags) = (watcher.cursor, watcher.flags);
        if cursor <= self.head {
            let compacted = history.compacted().max(self.inbox.compacted());
            if cursor < compacted {
                self.cancel_compacted(stream, id, compacted);
                return Step::Done;
            }
            let found = match self.find(group, cursor, flags.variant(), history) {
                Ok(found) => found,
                Err(HistoryError::Compacted(compacted)) if compacted > cursor => {
                    self.cancel_compacted(stream, id, compacted);
                    return Step::Done;
                }
                Err(_) => return Step::Failed,
            };
            self.learn(found.to);
            self.refresh_header();
            if !self.send_found(stream, id, &found, writer) {
                self.cancel_unservable(stream, id);
                return Step::Done;
            }
        }
        self.level(stream, id)
    }

    /// What follows `cursor` for a group, from the ring if it reaches back that far.
    fn find(
        &mut self,
        group: u32,
        cursor: i64,
        variant: Flags,
        history: &dyn History,
    ) -> Result<Arc<Found>, HistoryError> {
        if let Some((g, c, v, found)) = &self.recent.found
            && (*g, *c, *v) == (group, cursor, variant)
        {
            return Ok(Arc::clone(found));
        }
        let chunk = match cursor >= self.ring.start() {
            true => None,
            false => Some(self.history_chunk(cursor, history)?),
        };
        let range = &self.groups[group as usize].range;
        let hash = matches!(range, Range::Key(_)).then(|| range.hash(&self.hasher));
        let mut gather = Gather {
            range,
            hash,
            variant,
            from: cursor,
            events: Vec::new(),
            bytes: 0,
            scanned: 0,
        };
        let to = match &chunk {
            Some(chunk) => gather.take(chunk),
            None => gather.take_ring(&self.ring, self.head),
        };
        self.recent.at = self.head;
        let found = Arc::new(gather.found(to));
        self.recent.found = Some((group, cursor, variant, Arc::clone(&found)));
        Ok(found)
    }

    fn history_chunk(
        &mut self,
        cursor: i64,
        history: &dyn History,
    ) -> Result<Arc<Batch>, HistoryError> {
        if let Some(known) = self.recent.chunk(cursor) {
            return Ok(known);
        }
        self.history_reads += 1;
        let reached = history.revision();
        let mut revisions = history.events(cursor, HISTORY_REVISIONS_MAX, HISTORY_BYTES_MAX)?;
        revisions.retain(|(revision, _)| *revision >= cursor);
        let batch = match Batch::encode(&revisions, &self.hasher) {
            Some(batch) => batch,
            None if reached >= cursor => Batch::without_events(cursor, reached),
            None => return Err(HistoryError::Failed("it lags behind its own events".into())),
        };
        // Between `cursor` and the first event there is nothing.
        let chunk = Arc::new(Batch {
            first: cursor,
            ..batch
        });
        self.recent.keep(Arc::clone(&chunk));
        Ok(chunk)
    }

    /// Sends what a step found and moves the cursor. Returns false if no client could read it.
    fn send_found(&mut self, stream: u32, id: i64, found: &Found, writer: &mut Writer<'_>) -> bool {
        let limit = self.options.fragment_limit();
        let header = std::mem::replace(&mut self.header, crate::frame::Header::new());
        let mut sent = true;
        if let Some((_, watcher)) = self.watcher_mut(stream, id) {
            watcher.cursor = found.to + 1;
            if has(Bug::DoubledWatchEvent)
                && let [_, .., last] = &found.events[..]
            {
                watcher.cursor = last.revision;
            }
            if !found.events.is_empty() {
                watcher.flags.set(Flags::SENT, true);
                let who = (id, watcher.flags);
                let body = (&found.body, found.events.len());
                let events = || found.events.iter().collect();
                sent = write_events(writer, &header, who, body, limit, events).is_ok();
            }
        }
        self.header = header;
        sent
    }

    /// Lets a watcher that has seen everything matched so far go back to its group.
    fn level(&mut self, stream: u32, id: i64) -> Step {
        let head = self.head;
        let Some((_, watcher)) = self.watcher_mut(stream, id) else {
            return Step::Done;
        };
        if watcher.cursor <= head {
            return Step::Again;
        }
        watcher.flags.set(Flags::UNSYNCED, false);
        self.streams[stream as usize].unsynced -= 1;
        self.unsynced -= 1;
        Step::Done
    }
}
