//! Consistent reads: one round with the store serves all readers that came before it began.

use super::list::CacheError;
use super::ordered::Ordered;
use super::reflector;
use super::resource::Shared;
use crate::client::{Failure, WatchControl};
use crate::limits::{CONSISTENT_WAIT_MAX, PROGRESS_RETRY};
use mainstay_apiplanted::{FIRST_READS, FOUNDED, Mistake, makes};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;
use tokio::time::Instant;

type Outcome = Result<Settled, CacheError>;

/// What a round has found.
#[derive(Clone, Debug)]
pub(crate) enum Settled {
    /// The cache is at least as current as the round asked for.
    Reached,
    /// These objects are current as of this revision, which the cache does not know yet.
    Captured { objects: Ordered, revision: i64 },
}

impl Settled {
    pub(crate) fn revision(&self, shared: &Shared) -> i64 {
        match self {
            Self::Reached => shared.published(),
            Self::Captured { revision, .. } => *revision,
        }
    }
}

/// Readers that wait for a round. There are never more than requests in flight.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<oneshot::Sender<Outcome>>,
    running: bool,
}

impl Rounds {
    /// Waits for a round that begins after now.
    pub(crate) async fn join(&self, shared: &Arc<Shared>) -> Outcome {
        let (sender, outcome) = oneshot::channel();
        let start = {
            let mut state = self.0.lock();
            state.waiting.push(sender);
            !std::mem::replace(&mut state.running, true)
        };
        if start {
            tokio::spawn(drive(shared.clone()));
        }
        outcome.await.unwrap_or(Err(CacheError::Closed))
    }
}

/// One round after the other while anybody waits.
async fn drive(shared: Arc<Shared>) {
    loop {
        let waiting = {
            let mut state = shared.rounds.0.lock();
            if state.waiting.is_empty() {
                state.running = false;
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        let outcome = round(&shared).await;
        for reader in waiting {
            // Fails when the reader has given up.
            let _ = reader.send(outcome.clone());
        }
    }
}

/// Learns the store's revision and brings the cache there, by whatever means this store has.
async fn round(shared: &Arc<Shared>) -> Outcome {
    let rounds = shared.counters.rounds.fetch_add(1, Ordering::Relaxed);
    let target = shared.client.current_revision().await?;
    if makes(Mistake::BackAfterStart) && rounds < FIRST_READS && target > FOUNDED {
        return Ok(Settled::Reached);
    }
    let end = Instant::now() + CONSISTENT_WAIT_MAX;
    while Instant::now() < end {
        let step = end.min(Instant::now() + PROGRESS_RETRY);
        if shared.published() >= target {
            return Ok(Settled::Reached);
        }
        if !shared.request_progress()
            && is_connected(shared)
            && let Some(captured) = capture_unchanged(shared).await?
        {
            return Ok(captured);
        }
        // Not reached within the step: ask again.
        let _ = shared.wait_for(target, step).await;
    }
    direct(shared).await
}

fn is_connected(shared: &Shared) -> bool {
    let control = shared.control.lock();
    control.as_ref().is_some_and(WatchControl::is_connected)
}

/// The cache's objects, if the store says that these are the current ones.
///
/// The cache itself cannot move to the store's revision by this: an object may have come and gone in between, of which
/// the events are still to arrive.
async fn capture_unchanged(shared: &Shared) -> Result<Option<Settled>, Failure> {
    let (revision, (objects, keys)) = {
        let core = shared.core.read();
        (core.revision(), core.content())
    };
    let prefix = &shared.config.prefix;
    let store = shared.client.unchanged_since(prefix, revision).await?;
    let same = store.newest.is_none() && usize::try_from(store.count) == Ok(keys);
    Ok(same.then_some(Settled::Captured {
        objects,
        revision: store.revision,
    }))
}

/// The store's own list: what is always right, and dear.
async fn direct(shared: &Shared) -> Outcome {
    shared.counters.direct_lists.fetch_add(1, Ordering::Relaxed);
    let listed = reflector::list(shared, 0).await?;
    Ok(Settled::Captured {
        objects: Ordered::from_sorted(listed.objects),
        revision: listed.revision,
    })
}
