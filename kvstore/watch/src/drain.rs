//! Taking events in: from the inbox, or from history where the inbox has a gap.

use std::borrow::Cow;
use std::sync::Arc;

use crate::batch::{Batch, EncodedEvent};
use crate::limits::{
    DRAIN_EVENTS_MAX, HISTORY_BYTES_MAX, HISTORY_REVISIONS_MAX, PENDING_PER_GROUP_MAX,
    PENDING_TOTAL_MAX,
};
use crate::pending::Match;
use crate::ring::Position;
use crate::stream::{Delivery, Slot, Work};
use crate::sub::Flags;
use crate::{History, HistoryError, Shard, StreamId};
use mainstay_planted::{Bug, has};

impl Shard {
    /// Takes new events and finds out whom they concern. To be called after every wake-up and tick. Bounded: returns
    /// whether there is more, in which case it must be called again soon without waiting for a wake-up.
    ///
    /// `history` serves gaps: after an overflow of the inbox or a [`crate::Hub::reset`].
    pub fn drain_inbox(&mut self, history: &dyn History) -> bool {
        self.gap_stuck = false;
        let (mut taken, mut announced) = (false, 0);
        let mut budget = DRAIN_EVENTS_MAX;
        let more = loop {
            if budget == 0 {
                break true;
            }
            if self.incoming.is_empty() && !taken {
                // What was announced up to here is in the inbox, or was dropped from it.
                announced = self.inbox.announced();
                self.inbox.take(&mut self.incoming);
                taken = true;
            }
            let next = self.incoming.front();
            let gap_to = next.map_or(announced, |next| next.first - 1);
            let used = if gap_to > self.head {
                let Some(used) = self.fill_gap(gap_to, history) else {
                    self.gap_stuck = true;
                    break false;
                };
                used
            } else {
                let Some(next) = self.incoming.pop_front() else {
                    break false;
                };
                self.accept(next)
            };
            budget = budget.saturating_sub(used.max(1));
        };
        self.learn(self.head);
        self.release_awaiting();
        if self.unsynced == 0 {
            self.recent.age(self.head);
        }
        more
    }

    /// Adds what is new in a batch that leaves no gap. Returns the number of its events.
    fn accept(&mut self, mut batch: Arc<Batch>) -> usize {
        if batch.last <= self.head {
            return 0;
        }
        if batch.first <= self.head {
            batch = Arc::new(batch.after(self.head));
        }
        let number = self.ring.push(Arc::clone(&batch));
        for (event, at) in batch.events.iter().zip(0..) {
            self.note_event(
                event,
                Position {
                    batch: number,
                    event: at,
                },
            );
        }
        self.head = batch.last;
        batch.events.len()
    }

    /// Moves one step towards `to` without the inbox. Returns the number of events taken, or `None` if history
    /// cannot be read now.
    fn fill_gap(&mut self, to: i64, history: &dyn History) -> Option<usize> {
        if self.watchers == 0 {
            self.jump(to);
            return Some(0);
        }
        self.history_reads += 1;
        let from = self.head + 1;
        let reached = history.revision();
        match history.events(from, HISTORY_REVISIONS_MAX, HISTORY_BYTES_MAX) {
            Ok(mut revisions) => {
                revisions.retain(|(revision, _)| (from..=to).contains(revision));
                let batch = match Batch::encode(&revisions, &self.hasher) {
                    Some(batch) => batch,
                    None if reached >= to => Batch::without_events(from, to),
                    None => return None,
                };
                Some(self.accept(Arc::new(Batch {
                    first: from,
                    ..batch
                })))
            }
            Err(HistoryError::Compacted(compacted)) if compacted > from => {
                self.lose(compacted);
                Some(0)
            }
            Err(_) => None,
        }
    }

    /// Nobody needs events up to here.
    fn jump(&mut self, to: i64) {
        self.head = to;
        self.ring.clear(to + 1);
    }

    /// The first watcher is about to be made: events are wanted from now on.
    pub(crate) fn activate(&mut self, history: &dyn History) {
        if self.watchers > 0 {
            return;
        }
        self.inbox.set_active(true);
        // What is visible now was published, or will be and is then known.
        let revision = history.revision();
        if revision > self.head {
            self.jump(revision);
        }
    }

    /// Gives up what only watchers need, once there are none.
    pub(crate) fn rest(&mut self) {
        if self.watchers == 0 {
            self.recent.clear();
            self.inbox.set_active(false);
            self.incoming.clear();
            self.ring.clear(self.head + 1);
        }
    }

    /// Events below `compacted` were not taken in and are gone: whoever may have missed one is cancelled.
    fn lose(&mut self, compacted: i64) {
        let missed_from = self.head + 1;
        self.head = compacted - 1;
        self.learn(self.head);
        self.ring.clear(compacted);
        let mut all: Vec<(u32, i64)> = Vec::with_capacity(self.watchers);
        for (_, sub) in &self.subs {
            all.extend(sub.watchers.as_slice().iter().map(|w| (sub.stream, w.id)));
        }
        for (stream, id) in all {
            let slot = self.streams[stream as usize].ids.get(&id);
            let Some(&Slot::Live { sub, at }) = slot else {
                continue;
            };
            let watcher = self.subs[sub as usize].watchers.as_slice()[at as usize];
            let unsynced = watcher.flags.has(Flags::UNSYNCED);
            // Level watchers had everything up to the gap, or have it pending and lose it with the ring.
            let cursor = if unsynced {
                watcher.cursor
            } else {
                watcher.cursor.max(missed_from)
            };
            if cursor < compacted {
                self.cancel_compacted(stream, id, compacted);
            }
        }
    }

    /// Finds the groups an event concerns.
    fn note_event(&mut self, event: &EncodedEvent, at: Position) {
        if has(Bug::LostWatchEvent) && event.revision % 13 == 0 {
            return;
        }
        let mut matched = std::mem::take(&mut self.matched);
        self.matcher
            .matches(&self.groups, event, |group| matched.push(group));
        for &group in &matched {
            self.note_match(
                group,
                Match {
                    revision: event.revision,
                    at,
                },
            );
        }
        matched.clear();
        self.matched = matched;
    }

    /// Keeps a match for the group's watchers and marks their streams.
    fn note_match(&mut self, group_ix: u32, found: Match) {
        let group = &mut self.groups[group_ix as usize];
        group.last = found.revision;
        group.forget_bodies();
        if group.pending.len() >= PENDING_PER_GROUP_MAX || self.pending_total >= PENDING_TOTAL_MAX {
            for _ in 0..group.pending.len().div_ceil(2) {
                let Some(oldest) = group.pending.pop() else {
                    break;
                };
                group.trimmed = oldest.revision;
                self.pending_total -= 1;
            }
        }
        if self.pending_total < PENDING_TOTAL_MAX {
            group.pending.push(found);
            self.pending_total += 1;
        } else {
            group.trimmed = found.revision;
        }
        if group.lagging as usize == group.subs.len() {
            return;
        }
        for &sub_ix in group.subs.as_slice() {
            let sub = &mut self.subs[sub_ix as usize];
            if sub.dirty {
                continue;
            }
            sub.dirty = true;
            group.lagging += 1;
            let stream = &mut self.streams[sub.stream as usize];
            let delivery = Delivery {
                sub: sub_ix,
                resume: 0,
                pending_from: found.revision,
                pass_to: 0,
            };
            stream.work.push_back(Work::Deliver(delivery));
            if !stream.woken {
                stream.woken = true;
                let generation = stream.generation;
                self.woken.push(StreamId {
                    at: sub.stream,
                    generation,
                });
            }
        }
    }

    /// A watch that cannot be served any more for a reason of its own.
    pub(crate) fn cancel_unservable(&mut self, stream: u32, id: i64) {
        self.cancel_watch(
            stream,
            id,
            Cow::Borrowed("etcdserver: watch response is too large"),
        );
    }
}
