//! One watch stream: its watch ids, the control responses it is owed, and what has events for it.

use std::borrow::Cow;
use std::collections::VecDeque;

use hashbrown::HashMap;
use mainstay_proto::etcdserverpb::{ResponseHeader, WatchResponse};

/// Where a watcher is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Live {
        sub: u32,
        at: u32,
    },
    /// Cancelled by compaction; its id stays taken until the client cancels it too.
    Compacted,
}

/// A response other than events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Control {
    pub(crate) id: i64,
    pub(crate) revision: i64,
    pub(crate) created: bool,
    pub(crate) canceled: bool,
    pub(crate) compact_revision: i64,
    pub(crate) reason: Cow<'static, str>,
}

impl Control {
    pub(crate) fn response(self, header: ResponseHeader) -> WatchResponse {
        WatchResponse {
            header: Some(ResponseHeader {
                revision: self.revision,
                ..header
            }),
            watch_id: self.id,
            created: self.created,
            canceled: self.canceled,
            compact_revision: self.compact_revision,
            cancel_reason: self.reason.into_owned(),
            fragment: false,
            events: Vec::new(),
        }
    }
}

/// A pass over the watchers of a dirty sub.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) sub: u32,
    /// The watcher to go on with.
    pub(crate) resume: u32,
    /// No watcher of the sub that is level with its group lacks a match below this revision.
    pub(crate) pending_from: i64,
    /// Watchers before `resume` have been sent everything up to here.
    pub(crate) pass_to: i64,
}

/// Something to be done when the stream is polled, in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Deliver(Delivery),
    CatchUp {
        id: i64,
        nonce: u32,
    },
    /// A requested progress notification, to be sent once all work before it is done.
    Progress,
}

/// A watcher created with a start above the revision of the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Future {
    pub(crate) nonce: u32,
    pub(crate) start: i64,
}

#[derive(Debug)]
pub(crate) struct Stream {
    /// Tells it from an earlier stream at the same place.
    pub(crate) generation: u32,
    pub(crate) ids: HashMap<i64, Slot>,
    /// Where the search for the next automatic id starts.
    pub(crate) next_id: i64,
    pub(crate) live: usize,
    pub(crate) unsynced: usize,
    /// Watchers that started in the future and may still.
    pub(crate) future: Vec<Future>,
    pub(crate) control: VecDeque<Control>,
    pub(crate) work: VecDeque<Work>,
    /// Listed among the woken streams.
    pub(crate) woken: bool,
    /// The revision a requested progress notification must reach, while one is under way.
    pub(crate) progress_target: Option<i64>,
    /// Watchers with progress notifications.
    pub(crate) progress_watchers: usize,
    pub(crate) progress_interval: u64,
    pub(crate) progress_due: u64,
}

impl Stream {
    pub(crate) fn new(generation: u32, now_ms: u64, progress_interval: u64) -> Self {
        let progress_interval = progress_interval.max(1);
        Self {
            generation,
            ids: HashMap::new(),
            next_id: 0,
            live: 0,
            unsynced: 0,
            future: Vec::new(),
            control: VecDeque::new(),
            work: VecDeque::new(),
            woken: false,
            progress_target: None,
            progress_watchers: 0,
            progress_interval,
            progress_due: now_ms.saturating_add(progress_interval),
        }
    }

    pub(crate) fn has_something(&self) -> bool {
        !self.control.is_empty() || !self.work.is_empty()
    }

    /// Forgets future starts that no progress notification can be below any more.
    pub(crate) fn forget_reached(&mut self, head: i64) {
        let least = self.progress_target.map_or(head, |target| target.min(head));
        self.future.retain(|f| f.start > least);
    }

    /// Moves the due time past `now`, keeping the rhythm.
    pub(crate) fn next_progress(&mut self, now: u64) {
        if self.progress_due <= now {
            let missed = (now - self.progress_due) / self.progress_interval + 1;
            let ahead = missed.saturating_mul(self.progress_interval);
            self.progress_due = self.progress_due.saturating_add(ahead);
        }
    }
}
