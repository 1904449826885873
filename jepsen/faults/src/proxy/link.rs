//! Rules and counters of links; shared between the proxy's thread and those that set rules.

use crate::party::Party;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// What happens to bytes in one direction. The default lets them pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Added to every chunk; chunks stay in order, and those on their way when the rule changes follow the new one.
    pub delay: Duration,
    /// At most this much more, evenly distributed.
    pub jitter: Duration,
    /// Bandwidth; none means unlimited. Small values make a trickle.
    pub bytes_per_second: Option<NonZeroU64>,
    /// Nothing passes; the sender is held back once some buffers are full.
    pub stall: bool,
}

impl Shape {
    /// A slow wire.
    pub fn delayed(delay: Duration, jitter: Duration) -> Self {
        Self {
            delay,
            jitter,
            ..Self::default()
        }
    }

    /// A narrow wire.
    pub fn trickle(bytes_per_second: NonZeroU64) -> Self {
        Self {
            bytes_per_second: Some(bytes_per_second),
            ..Self::default()
        }
    }

    /// A dead wire that nobody notices.
    pub fn stalled() -> Self {
        Self {
            stall: true,
            ..Self::default()
        }
    }
}

/// The rule of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRule {
    /// New connections are reset at once.
    pub refuse: bool,
    /// From the caller to the target.
    pub toward: Shape,
    /// From the target to the caller.
    pub back: Shape,
}

impl LinkRule {
    /// The same in both directions.
    pub fn both(shape: Shape) -> Self {
        Self {
            refuse: false,
            toward: shape,
            back: shape,
        }
    }
}

/// What a link did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkCounters {
    /// Connections open now.
    pub open: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused by rule, or because the target did not answer.
    pub refused: u64,
    /// Connections reset on demand.
    pub reset: u64,
    /// Directions closed on demand.
    pub half_closed: u64,
    /// Bytes passed from the caller to the target.
    pub bytes_toward: u64,
    /// Bytes passed from the target to the caller.
    pub bytes_back: u64,
    /// Chunks that were kept at least a millisecond by a delay, a bandwidth or a stall.
    pub held_chunks: u64,
    /// For how long all of them together, in microseconds.
    pub held_micros: u64,
    /// Bytes taken from a sender and not passed on yet.
    pub pending_bytes: u64,
    /// Bytes thrown away because their direction was closed.
    pub discarded_bytes: u64,
}

/// What a link's connections follow: the rule, and how often one-time commands were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Commands {
    pub(super) rule: LinkRule,
    pub(super) resets: u64,
    pub(super) closes_toward: u64,
    pub(super) closes_back: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) open: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) reset: AtomicU64,
    pub(super) half_closed: AtomicU64,
    pub(super) bytes_toward: AtomicU64,
    pub(super) bytes_back: AtomicU64,
    pub(super) held_chunks: AtomicU64,
    pub(super) held_micros: AtomicU64,
    pub(super) pending_bytes: AtomicU64,
    pub(super) discarded_bytes: AtomicU64,
}

/// One link: its commands and its counters.
#[derive(Debug)]
pub(super) struct Link {
    commands: watch::Sender<Commands>,
    pub(super) tally: Tally,
}

impl Link {
    fn new() -> Self {
        Self {
            commands: watch::Sender::new(Commands::default()),
            tally: Tally::default(),
        }
    }

    pub(super) fn set(&self, rule: LinkRule) {
        self.command(|commands| commands.rule = rule);
    }

    pub(super) fn command(&self, change: impl FnOnce(&mut Commands)) {
        self.commands.send_modify(change);
    }

    pub(super) fn follow(&self) -> watch::Receiver<Commands> {
        self.commands.subscribe()
    }

    pub(super) fn counters(&self) -> LinkCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        let t = &self.tally;
        LinkCounters {
            open: get(&t.open),
            accepted: get(&t.accepted),
            refused: get(&t.refused),
            reset: get(&t.reset),
            half_closed: get(&t.half_closed),
            bytes_toward: get(&t.bytes_toward),
            bytes_back: get(&t.bytes_back),
            held_chunks: get(&t.held_chunks),
            held_micros: get(&t.held_micros),
            pending_bytes: get(&t.pending_bytes),
            discarded_bytes: get(&t.discarded_bytes),
        }
    }
}

/// All links that lead to one target, made when they are first named.
#[derive(Debug)]
pub(super) struct Links {
    known: Mutex<BTreeMap<Party, Arc<Link>>>,
    unknown: Arc<Link>,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            unknown: Arc::new(Link::new()),
        }
    }
}

impl Links {
    pub(super) fn of(&self, party: Party) -> Arc<Link> {
        Arc::clone(
            self.known()
                .entry(party)
                .or_insert_with(|| Arc::new(Link::new())),
        )
    }

    /// No code panics while it holds this lock.
    fn known(&self) -> MutexGuard<'_, BTreeMap<Party, Arc<Link>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn unknown(&self) -> &Arc<Link> {
        &self.unknown
    }

    pub(super) fn all(&self) -> BTreeMap<Party, Arc<Link>> {
        self.known().clone()
    }
}
