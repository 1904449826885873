//! Progress notifications: on a timer per watch, and on request per stream.

use crate::limits::{CONTROL_QUEUE_MAX, HISTORY_RETRY_MS};
use crate::request::INVALID_WATCH_ID;
use crate::stream::{Control, Slot, Work};
use crate::sub::Flags;
use crate::{Shard, StreamId};

impl Shard {
    /// When [`Shard::tick`] is to be called next, in the milliseconds of its clock; `None` while nothing is timed.
    #[must_use]
    pub fn next_tick(&self) -> Option<u64> {
        let timed = self.timers.first().map(|&(due, _)| due);
        if self.stalled.is_empty() && !self.gap_stuck {
            return timed;
        }
        let retry = self.now.saturating_add(HISTORY_RETRY_MS);
        Some(timed.map_or(retry, |due| due.min(retry)))
    }

    /// Sends the progress notifications that are due and lets streams whose history failed try again. To be
    /// followed by [`Shard::drain_inbox`].
    pub fn tick(&mut self, now_ms: u64) {
        self.now = self.now.max(now_ms);
        for id in std::mem::take(&mut self.stalled) {
            if self.stream(id).is_some() {
                self.wake(id.at);
            }
        }
        while let Some(&(due, at)) = self.timers.first() {
            if due > now_ms {
                break;
            }
            self.timers.pop_first();
            let stream = &mut self.streams[at as usize];
            if stream.progress_watchers == 0 {
                continue;
            }
            stream.next_progress(now_ms);
            self.timers.insert((stream.progress_due, at));
            self.timed_progress(at);
        }
    }

    /// A stream got a watcher with progress notifications.
    pub(crate) fn start_timer(&mut self, at: u32, now_ms: u64) {
        let stream = &mut self.streams[at as usize];
        if self.timers.contains(&(stream.progress_due, at)) {
            return;
        }
        stream.next_progress(now_ms);
        self.timers.insert((stream.progress_due, at));
    }

    /// Notifies each watcher that wants it, is level and was sent nothing since the last time.
    fn timed_progress(&mut self, at: u32) {
        let head = self.head;
        let stream = &mut self.streams[at as usize];
        let room = CONTROL_QUEUE_MAX.saturating_sub(stream.control.len());
        let mut due = Vec::new();
        for (&id, slot) in &stream.ids {
            let &Slot::Live { sub, at } = slot else {
                continue;
            };
            let sub = &mut self.subs[sub as usize];
            let dirty = sub.dirty;
            let watcher = &mut sub.watchers.as_mut_slice()[at as usize];
            let flags = watcher.flags;
            watcher.flags.set(Flags::SENT, false);
            let future = flags.has(Flags::FUTURE) && watcher.cursor > head;
            let level = !flags.has(Flags::UNSYNCED) && !dirty && !future;
            if flags.has(Flags::PROGRESS) && !flags.has(Flags::SENT) && level {
                due.push(id);
            }
        }
        due.sort_unstable();
        due.truncate(room);
        for id in due {
            self.respond(
                at,
                Control {
                    id,
                    revision: head,
                    ..Control::default()
                },
            );
        }
    }

    /// Whether a progress notification of this revision can speak for all watchers of a stream.
    fn all_level(&mut self, at: u32, revision: i64) -> bool {
        let stream = &mut self.streams[at as usize];
        stream.forget_reached(self.head);
        stream.live > 0 && stream.unsynced == 0 && stream.future.iter().all(|f| f.start <= revision)
    }

    /// The client asks for progress. Nothing is sent unless all watchers are level.
    pub(crate) fn request_progress(&mut self, id: StreamId) {
        self.release_awaiting();
        if !self.all_level(id.at, self.known) {
            return;
        }
        let (head, known) = (self.head, self.known);
        let stream = &mut self.streams[id.at as usize];
        let under_way = stream.progress_target.replace(known).is_some();
        if under_way {
            return;
        }
        if known > head {
            self.awaiting.push(id);
        } else {
            stream.work.push_back(Work::Progress);
            self.wake(id.at);
        }
    }

    /// Events came in: requested notifications that waited for them join their stream's work.
    pub(crate) fn release_awaiting(&mut self) {
        if self.awaiting.is_empty() {
            return;
        }
        let head = self.head;
        for id in std::mem::take(&mut self.awaiting) {
            let Some(target) = self.stream(id).map(|s| s.progress_target) else {
                continue;
            };
            if target.is_some_and(|t| t > head) {
                self.awaiting.push(id);
            } else {
                self.streams[id.at as usize].work.push_back(Work::Progress);
                self.wake(id.at);
            }
        }
    }

    /// A requested notification comes up. It may say no more than what all watchers have been sent.
    pub(crate) fn requested_progress(&mut self, at: u32) {
        let head = self.head;
        let stream = &mut self.streams[at as usize];
        let Some(target) = stream.progress_target else {
            return;
        };
        let pending = stream.work.iter().filter_map(|work| match work {
            Work::Deliver(delivery) => Some(delivery.pending_from - 1),
            _ => None,
        });
        let complete = pending.min().unwrap_or(head).min(head);
        if head < target {
            let generation = stream.generation;
            self.awaiting.push(StreamId { at, generation });
        } else if complete < target {
            stream.work.push_back(Work::Progress);
        } else {
            let level = self.all_level(at, complete);
            self.streams[at as usize].progress_target = None;
            if level {
                let id = INVALID_WATCH_ID;
                self.respond(
                    at,
                    Control {
                        id,
                        revision: complete,
                        ..Control::default()
                    },
                );
            }
        }
    }
}
