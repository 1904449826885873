//! The watch shard of a serving thread, and the wake-ups between it and the streams.

use super::thread::Shared;
use crate::http2::Inbox;
use crate::os::Node;
use bytes::Bytes;
use hashbrown::HashMap;
use mainstay_mvcc::MvccError;
use mainstay_proto::etcdserverpb::WatchRequest;
use mainstay_proto::mvccpb::Event;
use mainstay_watch::{History, HistoryError, Poll, Shard, ShardSeed, StreamId};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;
use tokio::time::{Duration, sleep_until};

/// Output of one stream in one go.
const POLL_BYTES_MAX: usize = 64 * 1024;
/// Share of the progress interval that is spread randomly, so that streams do not notify in step.
const JITTER_PERCENT: u64 = 10;

/// Stored events, from whatever database is current.
struct Stored(Node);

impl History for Stored {
    fn events(
        &self,
        from_revision: i64,
        max_revisions: usize,
        max_bytes: usize,
    ) -> Result<Vec<(i64, Vec<Event>)>, HistoryError> {
        let reader = self.0.reader();
        match reader.events(from_revision, max_revisions, max_bytes) {
            Ok(revisions) => Ok(revisions
                .into_iter()
                .map(|r| (r.revision, r.events))
                .collect()),
            Err(MvccError::Compacted) => Err(HistoryError::Compacted(reader.compacted())),
            Err(error) => Err(HistoryError::Failed(error.to_string())),
        }
    }

    fn revision(&self) -> i64 {
        self.0.reader().revision()
    }

    fn compacted(&self) -> i64 {
        self.0.reader().compacted()
    }
}

/// One per serving thread.
pub(crate) struct WatchDesk {
    shard: RefCell<Shard>,
    streams: RefCell<HashMap<StreamId, Rc<Inbox>>>,
    stored: Stored,
    wake: Arc<Notify>,
    started: Instant,
    progress: Duration,
    ids: (u64, u64),
    scratch: RefCell<Vec<StreamId>>,
}

impl WatchDesk {
    pub(crate) fn new(shared: &Arc<Shared>, seed: ShardSeed) -> Self {
        let wake = Arc::new(Notify::new());
        let shard = {
            let wake = Arc::clone(&wake);
            seed.start(move || wake.notify_one())
        };
        Self {
            shard: RefCell::new(shard),
            streams: RefCell::default(),
            stored: Stored(shared.node.clone()),
            wake,
            started: shared.started,
            progress: shared.options.progress_interval,
            ids: (shared.cluster_id, shared.member_id),
            scratch: RefCell::default(),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn set_header(&self, shard: &mut Shard) {
        shard.set_header(self.ids.0, self.ids.1, self.stored.0.leader().term);
    }

    pub(crate) fn open(&self, inbox: &Rc<Inbox>) -> StreamId {
        let interval = u64::try_from(self.progress.as_millis()).unwrap_or(u64::MAX);
        let mut shard = self.shard.borrow_mut();
        // Streams opened one after the other spread over the allowed jitter.
        let spread = (shard.stats().streams as u64).wrapping_mul(7) % (JITTER_PERCENT + 1);
        let interval = interval.saturating_add(interval / 100 * spread);
        let id = shard.open_stream(self.now_ms(), interval);
        self.streams.borrow_mut().insert(id, Rc::clone(inbox));
        id
    }

    pub(crate) fn close(&self, id: StreamId) {
        self.streams.borrow_mut().remove(&id);
        self.shard.borrow_mut().close_stream(id);
    }

    pub(crate) fn accepts_requests(&self, id: StreamId) -> bool {
        self.shard.borrow().accepts_requests(id)
    }

    pub(crate) fn request(&self, id: StreamId, request: &WatchRequest) {
        let now = self.now_ms();
        let mut shard = self.shard.borrow_mut();
        self.set_header(&mut shard);
        let due = shard.next_tick();
        shard.request(id, request, &self.stored, now);
        self.tell_timer(due, &shard);
    }

    /// Wakes the loop that waits for the next timer when one has become due earlier.
    fn tell_timer(&self, before: Option<u64>, shard: &Shard) {
        let now = shard.next_tick();
        if now.is_some_and(|now| before.is_none_or(|before| now < before)) {
            self.wake.notify_one();
        }
    }

    /// Appends what the stream has to send.
    pub(crate) fn poll(&self, id: StreamId, pieces: &mut Vec<Bytes>) -> Poll {
        let mut shard = self.shard.borrow_mut();
        self.set_header(&mut shard);
        let due = shard.next_tick();
        let progress = shard.poll(id, &self.stored, pieces, POLL_BYTES_MAX);
        self.tell_timer(due, &shard);
        progress
    }

    /// Wakes the streams that have something to send, but for the one that is being polled.
    pub(crate) fn spread(&self, except: Option<StreamId>) {
        let mut woken = self.scratch.take();
        self.shard.borrow_mut().take_woken(&mut woken);
        let streams = self.streams.borrow();
        for id in woken.drain(..) {
            if Some(id) != except
                && let Some(inbox) = streams.get(&id)
            {
                inbox.wake();
            }
        }
        self.scratch.replace(woken);
    }

    /// Number of streams and of watchers.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let stats = self.shard.borrow().stats();
        (stats.streams, stats.watchers)
    }

    /// Takes events in as they come, for the life of the thread.
    pub(crate) async fn run(&self) {
        loop {
            let more = {
                let mut shard = self.shard.borrow_mut();
                self.set_header(&mut shard);
                shard.drain_inbox(&self.stored)
            };
            self.spread(None);
            if more {
                tokio::task::yield_now().await;
                continue;
            }
            let due = self.shard.borrow().next_tick();
            match due {
                None => self.wake.notified().await,
                Some(at) => {
                    let at = self.started + Duration::from_millis(at);
                    tokio::select! {
                        biased;
                        () = self.wake.notified() => {}
                        () = sleep_until(at.into()) => {
                            let now = self.now_ms();
                            self.shard.borrow_mut().tick(now);
                        }
                    }
                }
            }
        }
    }
}
