//! What callers, the writer and the keeper share.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::error::WalError;
use crate::limits::WITNESS_SYNC_MS;
use crate::places::Place;
use crate::queue::Staging;
use crate::segments::{Pool, Storage};
use crate::stats::Counters;
use crate::view::View;
use crate::witness::Witness;

/// Called once with the first failure; the process is expected to end.
pub type OnFatal = Box<dyn Fn(&WalError) + Send + Sync>;

/// Accepted and not yet durable. Changes of the view happen under this lock, too, so that the view
/// and the order on disk agree.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) staging: Staging,
    pub(crate) in_flight_bytes: usize,
    pub(crate) in_flight_since: Option<Instant>,
    pub(crate) closing: bool,
}

/// What the keeper has to do.
#[derive(Default)]
pub(crate) struct Chores {
    pub(crate) retired: Vec<Place>,
    /// The segment to make ready.
    pub(crate) prepare: Option<u64>,
    pub(crate) prepare_not_before: Option<Instant>,
    pub(crate) retire_not_before: Option<Instant>,
    pub(crate) witness_due: Option<Instant>,
    pub(crate) stop: bool,
}

pub(crate) struct Shared {
    pub(crate) queue: Mutex<Queue>,
    pub(crate) work: Condvar,
    /// Ends the writer's pause while the disk is full.
    pub(crate) room: Condvar,
    /// The writer holds a batch that finds no room on the disk.
    pub(crate) full: AtomicBool,
    pub(crate) view: RwLock<View>,
    pub(crate) chores: Mutex<Chores>,
    pub(crate) chore: Condvar,
    pub(crate) storage: Storage,
    pub(crate) pool: Pool,
    pub(crate) witness: Witness,
    pub(crate) witness_path: PathBuf,
    pub(crate) counters: Counters,
    pub(crate) failed: OnceLock<WalError>,
    pub(crate) on_fatal: OnFatal,
}

impl Shared {
    /// Keeps the first failure, answers everybody who waits with it, and reports it.
    pub(crate) fn fail(&self, error: WalError) {
        let first = self.failed.set(error.clone()).is_ok();
        // Nobody can queue anything behind this: callers look at `failed` under the lock.
        let mut staging = std::mem::take(&mut self.queue.lock().staging);
        answer_all(&mut staging, &error);
        if first {
            (self.on_fatal)(&error);
        }
    }

    pub(crate) fn failure(&self) -> Result<(), WalError> {
        self.failed.get().cloned().map_or(Ok(()), Err)
    }

    /// The witness was written for the first time since its last sync.
    pub(crate) fn witness_became_dirty(&self) {
        let due = Instant::now() + Duration::from_millis(WITNESS_SYNC_MS);
        self.chores.lock().witness_due.get_or_insert(due);
        self.chore.notify_one();
    }

    pub(crate) fn add_chores(&self, retired: Vec<Place>, prepare: Option<u64>) {
        if retired.is_empty() && prepare.is_none() {
            return;
        }
        let mut chores = self.chores.lock();
        chores.retired.extend(retired);
        if prepare.is_some() {
            chores.prepare = prepare;
        }
        self.chore.notify_one();
    }
}

/// Fails every operation that was not answered yet.
pub(crate) fn answer_all(staging: &mut Staging, error: &WalError) {
    for operation in &mut staging.operations {
        if let Some(done) = operation.done.take() {
            done(Err(error.clone()));
        }
    }
}
