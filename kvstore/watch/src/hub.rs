//! Where the apply thread hands events over: one bounded inbox per shard.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use hashbrown::DefaultHashBuilder;
use mainstay_proto::mvccpb::Event;
use parking_lot::Mutex;

use crate::Shard;
use crate::batch::Batch;
use crate::limits::{FRAGMENT_OVERHEAD_BYTES, RING_BYTES_DEFAULT};

/// What a hub and its shards are made for.
#[derive(Clone, Copy, Debug)]
pub struct HubOptions {
    /// Bound, in bytes, of each shard's ring of latest events and of its inbox. Batches are shared between shards.
    pub ring_bytes: usize,
    /// The largest request a client may send, in bytes; responses are fragmented, for watchers that asked for it,
    /// from this size plus [`FRAGMENT_OVERHEAD_BYTES`] on.
    pub max_request_bytes: usize,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            ring_bytes: RING_BYTES_DEFAULT,
            max_request_bytes: 1536 << 10,
        }
    }
}

impl HubOptions {
    pub(crate) fn fragment_limit(&self) -> usize {
        self.max_request_bytes
            .saturating_add(FRAGMENT_OVERHEAD_BYTES)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("announced", &self.announced)
            .finish_non_exhaustive()
    }
}

type Wake = Box<dyn Fn() + Send + Sync>;

/// The mailbox of one shard.
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    /// Set by whoever adds something, cleared by the shard before it takes: one wake-up per drain.
    notified: AtomicBool,
    wake: OnceLock<Wake>,
    /// The latest revision the shard should know of, whether or not its events are in the queue.
    announced: AtomicI64,
    /// Whether the shard has watchers. Without, events are announced and neither encoded nor queued.
    active: AtomicBool,
    compacted: Arc<AtomicI64>,
}

#[derive(Default)]
struct Queue {
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
}

impl Inbox {
    fn push(&self, batch: Arc<Batch>, bytes_max: usize) {
        let last = batch.last;
        {
            let mut queue = self.queue.lock();
            queue.bytes += batch.bytes;
            queue.batches.push_back(batch);
            while queue.bytes > bytes_max && queue.batches.len() > 1 {
                if let Some(oldest) = queue.batches.pop_front() {
                    queue.bytes -= oldest.bytes;
                }
            }
        }
        self.announced.fetch_max(last, Ordering::SeqCst);
        self.notify();
    }

    fn notify(&self) {
        if !self.notified.swap(true, Ordering::SeqCst)
            && let Some(wake) = self.wake.get()
        {
            wake();
        }
    }

    /// Moves everything queued to `into`. From here on, additions wake the shard again.
    pub(crate) fn take(&self, into: &mut VecDeque<Arc<Batch>>) {
        self.notified.store(false, Ordering::SeqCst);
        let mut queue = self.queue.lock();
        queue.bytes = 0;
        into.append(&mut queue.batches);
    }

    pub(crate) fn announced(&self) -> i64 {
        self.announced.load(Ordering::SeqCst)
    }

    pub(crate) fn compacted(&self) -> i64 {
        self.compacted.load(Ordering::SeqCst)
    }

    pub(crate) fn set_active(&self, active: bool) {
        self.active.store(active, Ordering::SeqCst);
    }
}

/// Hands published events to every shard. One per process, fed by the apply thread.
pub struct Hub {
    inboxes: Vec<Arc<Inbox>>,
    hasher: DefaultHashBuilder,
    ring_bytes: usize,
    compacted: Arc<AtomicI64>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("shards", &self.inboxes.len())
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub and the seeds of its shards, for a store that stands at `current_revision`.
    #[must_use]
    pub fn new(
        shards: usize,
        current_revision: i64,
        options: HubOptions,
    ) -> (Self, Vec<ShardSeed>) {
        let hasher = DefaultHashBuilder::default();
        let compacted = Arc::new(AtomicI64::new(0));
        let inboxes: Vec<_> = (0..shards)
            .map(|_| {
                Arc::new(Inbox {
                    queue: Mutex::new(Queue::default()),
                    notified: AtomicBool::new(false),
                    wake: OnceLock::new(),
                    announced: AtomicI64::new(current_revision),
                    active: AtomicBool::new(false),
                    compacted: Arc::clone(&compacted),
                })
            })
            .collect();
        let seeds = inboxes
            .iter()
            .map(|inbox| ShardSeed {
                inbox: Arc::clone(inbox),
                hasher: hasher.clone(),
                current_revision,
                options,
            })
            .collect();
        (
            Self {
                inboxes,
                hasher,
                ring_bytes: options.ring_bytes,
                compacted,
            },
            seeds,
        )
    }

    /// Passes on the events of newly visible revisions, ascending and each with all its events. To be called after
    /// readers see them. Never blocks on watchers: a shard that falls behind by more than the ring's bytes loses the
    /// oldest batches and reads them from history.
    pub fn publish(&self, revisions: Vec<(i64, Vec<Event>)>) {
        let Some(&(last, _)) = revisions.last() else {
            return;
        };
        let mut encoded: Option<Arc<Batch>> = None;
        for inbox in &self.inboxes {
            if !inbox.active.load(Ordering::SeqCst) {
                inbox.announced.fetch_max(last, Ordering::SeqCst);
                continue;
            }
            if encoded.is_none() {
                encoded = Batch::encode(&revisions, &self.hasher).map(Arc::new);
            }
            if let Some(batch) = &encoded {
                inbox.push(Arc::clone(batch), self.ring_bytes);
            }
        }
    }

    /// The store was replaced by a snapshot at `current_revision`, compacted at `compacted`: nothing that was
    /// delivered comes again; what lies between is read from history.
    pub fn reset(&self, current_revision: i64, compacted: i64) {
        self.set_compacted(compacted);
        for inbox in &self.inboxes {
            inbox
                .announced
                .fetch_max(current_revision, Ordering::SeqCst);
            inbox.notify();
        }
    }

    /// Events below this revision are gone: watchers that still want them are cancelled.
    pub fn set_compacted(&self, revision: i64) {
        self.compacted.fetch_max(revision, Ordering::SeqCst);
    }
}

/// Becomes a [`Shard`] on the thread that serves it.
pub struct ShardSeed {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) hasher: DefaultHashBuilder,
    pub(crate) current_revision: i64,
    pub(crate) options: HubOptions,
}

impl fmt::Debug for ShardSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardSeed")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl ShardSeed {
    /// Makes the shard. `wake` is called from the apply thread, at most once between two calls of
    /// [`Shard::drain_inbox`]; it must be quick and make the owning thread call that.
    #[must_use]
    pub fn start(self, wake: impl Fn() + Send + Sync + 'static) -> Shard {
        let inbox = Arc::clone(&self.inbox);
        let shard = Shard::new(self);
        // A seed is consumed by starting, so the cell is empty.
        let _ = inbox.wake.set(Box::new(wake));
        if inbox.notified.swap(false, Ordering::SeqCst) {
            inbox.notify();
        }
        shard
    }
}
