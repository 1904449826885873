//! One serving thread's watch streams.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hashbrown::{DefaultHashBuilder, HashTable};
use mainstay_proto::etcdserverpb::ResponseHeader;
use slab::Slab;

use crate::batch::Batch;
use crate::catch_up::{Recent, Step};
use crate::frame::{Header, Writer};
use crate::group::Group;
use crate::hub::{Inbox, ShardSeed};
use crate::limits::{CATCH_UP_STEPS_MAX, CONTROL_QUEUE_MAX};
use crate::matcher::Matcher;
use crate::ring::Ring;
use crate::stream::{Stream, Work};
use crate::sub::Sub;
use crate::{History, HubOptions};

/// Names a stream of one shard. A name is never used for another stream, so a stale one is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    pub(crate) at: u32,
    pub(crate) generation: u32,
}

/// The outcome of [`Shard::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// So many messages were written, possibly none if a bounded piece of catching up found nothing yet. There may
    /// be more: poll again when the connection can take it. If there is, the stream is listed by
    /// [`Shard::take_woken`] as well.
    Ready(usize),
    /// There is nothing to send; [`Shard::take_woken`] will tell when there is.
    Idle,
}

/// A shard's state in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Open streams.
    pub streams: usize,
    /// Watchers.
    pub watchers: usize,
    /// Watchers that are catching up.
    pub unsynced: usize,
    /// Distinct ranges watched.
    pub ranges: usize,
    /// Bytes of events in the ring.
    pub ring_bytes: usize,
    /// The revision up to which events were matched.
    pub revision: i64,
    /// Matches kept for watchers that were not sent them yet.
    pub pending: usize,
    /// Events sent since the start, counted once per watcher.
    pub events_sent: u64,
    /// Steps read from history since the start.
    pub history_reads: u64,
}

/// The watch streams of one serving thread. See the crate's documentation for how it is driven.
#[derive(Debug)]
pub struct Shard {
    pub(crate) inbox: Arc<Inbox>,
    /// Batches taken from the inbox and not matched yet.
    pub(crate) incoming: VecDeque<Arc<Batch>>,
    pub(crate) options: HubOptions,
    pub(crate) hasher: DefaultHashBuilder,
    pub(crate) ring: Ring,
    /// Every event up to this revision has been matched.
    pub(crate) head: i64,
    /// The latest revision the store is known to have reached; what response headers say. Never below `head`.
    pub(crate) known: i64,
    pub(crate) header: Header,
    pub(crate) groups: Slab<Group>,
    pub(crate) matcher: Matcher,
    pub(crate) subs: Slab<Sub>,
    /// Subs by stream and group.
    pub(crate) sub_table: HashTable<u32>,
    pub(crate) streams: Slab<Stream>,
    pub(crate) generation: u32,
    pub(crate) nonce: u32,
    pub(crate) woken: Vec<StreamId>,
    /// Streams whose history read failed; tried again at the next tick.
    pub(crate) stalled: Vec<StreamId>,
    /// History could not be read for a gap in the inbox; tried again at the next tick.
    pub(crate) gap_stuck: bool,
    /// The latest time that was passed in.
    pub(crate) now: u64,
    /// Streams with a requested progress notification that waits for events to arrive.
    pub(crate) awaiting: Vec<StreamId>,
    /// Streams with progress timers, by due time.
    pub(crate) timers: BTreeSet<(u64, u32)>,
    pub(crate) chunk: BytesMut,
    pub(crate) recent: Recent,
    /// Groups matched by the event at hand.
    pub(crate) matched: Vec<u32>,
    pub(crate) pending_total: usize,
    pub(crate) watchers: usize,
    pub(crate) unsynced: usize,
    pub(crate) events_sent: u64,
    pub(crate) history_reads: u64,
}

impl Shard {
    pub(crate) fn new(seed: ShardSeed) -> Self {
        let ShardSeed {
            inbox,
            hasher,
            current_revision,
            options,
        } = seed;
        Self {
            inbox,
            incoming: VecDeque::new(),
            options,
            matcher: Matcher::new(hasher.clone()),
            hasher,
            ring: Ring::new(current_revision.saturating_add(1), options.ring_bytes),
            head: current_revision,
            known: current_revision,
            header: Header::new(),
            groups: Slab::new(),
            subs: Slab::new(),
            sub_table: HashTable::new(),
            streams: Slab::new(),
            generation: 0,
            nonce: 0,
            woken: Vec::new(),
            stalled: Vec::new(),
            gap_stuck: false,
            now: 0,
            awaiting: Vec::new(),
            timers: BTreeSet::new(),
            chunk: BytesMut::new(),
            recent: Recent::default(),
            matched: Vec::new(),
            pending_total: 0,
            watchers: 0,
            unsynced: 0,
            events_sent: 0,
            history_reads: 0,
        }
    }

    /// Sets what the headers of responses say; cheap if nothing changes.
    pub fn set_header(&mut self, cluster_id: u64, member_id: u64, raft_term: u64) {
        let revision = self.header.value.revision;
        self.header.set(ResponseHeader {
            cluster_id,
            member_id,
            revision,
            raft_term,
        });
    }

    /// Opens a stream. `progress_interval_ms` is the time between its progress notifications (jitter included),
    /// counted from `now_ms`.
    pub fn open_stream(&mut self, now_ms: u64, progress_interval_ms: u64) -> StreamId {
        self.now = self.now.max(now_ms);
        self.generation = self.generation.wrapping_add(1);
        let stream = Stream::new(self.generation, now_ms, progress_interval_ms);
        let at = u32::try_from(self.streams.insert(stream)).expect("fewer than 4 G streams");
        StreamId {
            at,
            generation: self.generation,
        }
    }

    /// Closes a stream and removes its watchers.
    pub fn close_stream(&mut self, id: StreamId) {
        if self.stream(id).is_none() {
            return;
        }
        self.streams[id.at as usize].future.clear();
        let ids: Vec<i64> = self.streams[id.at as usize].ids.keys().copied().collect();
        for watch_id in ids {
            self.remove_watcher(id.at, watch_id);
        }
        self.discard_work(id.at);
        let stream = self.streams.remove(id.at as usize);
        self.timers.remove(&(stream.progress_due, id.at));
        self.awaiting.retain(|s| *s != id);
        self.stalled.retain(|s| *s != id);
        self.rest();
    }

    /// Whether the stream's requests should be read on. If not, its client does not read responses: wait until it
    /// has been polled.
    #[must_use]
    pub fn accepts_requests(&self, id: StreamId) -> bool {
        self.stream(id)
            .is_some_and(|s| s.control.len() < CONTROL_QUEUE_MAX)
    }

    /// Number of watchers of a stream.
    #[must_use]
    pub fn watchers(&self, id: StreamId) -> usize {
        self.stream(id).map_or(0, |s| s.live)
    }

    /// Appends the streams that have something to send, each once, and forgets the list.
    pub fn take_woken(&mut self, into: &mut Vec<StreamId>) {
        for id in &self.woken {
            if let Some(stream) = self.streams.get_mut(id.at as usize)
                && stream.generation == id.generation
            {
                stream.woken = false;
                into.push(*id);
            }
        }
        self.woken.clear();
    }

    /// Writes what the stream has to send as gRPC messages, appending shared pieces to `out`, until about
    /// `max_bytes` are exceeded. To be called when the connection can take it.
    pub fn poll(
        &mut self,
        id: StreamId,
        history: &dyn History,
        out: &mut Vec<Bytes>,
        max_bytes: usize,
    ) -> Poll {
        if self.stream(id).is_none() {
            return Poll::Idle;
        }
        self.refresh_header();
        let mut writer = Writer::new(std::mem::take(&mut self.chunk), out);
        let failed = self.write(id.at, history, &mut writer, max_bytes);
        let frames = writer.frames;
        self.events_sent += writer.events;
        self.chunk = writer.finish();
        let stream = &mut self.streams[id.at as usize];
        let more = stream.has_something();
        if !failed.is_empty() {
            stream.work.extend(failed);
            self.stalled.push(id);
        }
        if more {
            self.wake(id.at);
        }
        if frames > 0 || more {
            Poll::Ready(frames)
        } else {
            Poll::Idle
        }
    }

    /// Does the stream's work in turn, control responses first. Returns the work for which history failed.
    fn write(
        &mut self,
        at: u32,
        history: &dyn History,
        writer: &mut Writer<'_>,
        max_bytes: usize,
    ) -> Vec<Work> {
        let mut steps = 0;
        let mut failed = Vec::new();
        loop {
            let header = self.header.value;
            let stream = &mut self.streams[at as usize];
            while writer.bytes < max_bytes
                && let Some(control) = stream.control.pop_front()
            {
                writer.control(&control.response(header));
            }
            if writer.bytes >= max_bytes || steps >= CATCH_UP_STEPS_MAX {
                return failed;
            }
            let Some(work) = stream.work.pop_front() else {
                return failed;
            };
            match work {
                Work::Deliver(delivery) => self.deliver(at, delivery, writer, max_bytes),
                Work::Progress => self.requested_progress(at),
                // One failure is enough to know for this time.
                Work::CatchUp { .. } if !failed.is_empty() => failed.push(work),
                Work::CatchUp { id, nonce } => {
                    let bytes = writer.bytes;
                    match self.catch_up(at, id, nonce, history, writer) {
                        Step::Done => {}
                        Step::Again => self.streams[at as usize].work.push_back(work),
                        Step::Failed => failed.push(work),
                    }
                    steps += usize::from(writer.bytes == bytes);
                }
            }
        }
    }

    /// The shard's state in numbers; cheap.
    #[must_use]
    pub fn stats(&self) -> ShardStats {
        ShardStats {
            streams: self.streams.len(),
            watchers: self.watchers,
            unsynced: self.unsynced,
            ranges: self.groups.len(),
            ring_bytes: self.ring.bytes(),
            revision: self.head,
            pending: self.pending_total,
            events_sent: self.events_sent,
            history_reads: self.history_reads,
        }
    }

    pub(crate) fn stream(&self, id: StreamId) -> Option<&Stream> {
        self.streams
            .get(id.at as usize)
            .filter(|s| s.generation == id.generation)
    }

    /// Lists a stream as having something to send.
    pub(crate) fn wake(&mut self, at: u32) {
        let stream = &mut self.streams[at as usize];
        if !stream.woken {
            stream.woken = true;
            self.woken.push(StreamId {
                at,
                generation: stream.generation,
            });
        }
    }

    /// The store is known to have reached this revision.
    pub(crate) fn learn(&mut self, revision: i64) {
        self.known = self.known.max(revision);
    }

    pub(crate) fn refresh_header(&mut self) {
        let value = ResponseHeader {
            revision: self.known,
            ..self.header.value
        };
        self.header.set(value);
    }
}
