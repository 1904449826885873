//! Work off the durable path: making segments ready, putting old ones away, syncing the witness.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::WalError;
use crate::limits::{FULL_RETRY_MS, PREALLOCATE_RETRY_MS};
use crate::places::Place;
use crate::segments::is_full;
use crate::shared::{Chores, Shared};

/// Runs until told to stop or until something fails.
pub(crate) fn run(shared: &Arc<Shared>) {
    loop {
        let (work, stop) = wait(shared);
        let result = work.perform(shared);
        if let Err(error) = result {
            shared.fail(error);
            return;
        }
        if stop || shared.failed.get().is_some() {
            return;
        }
    }
}

/// Everything there is to do, at once.
pub(crate) fn run_once(shared: &Shared) -> Result<(), WalError> {
    let work = {
        let mut chores = shared.chores.lock();
        chores.prepare_not_before = None;
        chores.retire_not_before = None;
        Work::take(&mut chores, true)
    };
    work.perform(shared)
}

struct Work {
    retired: Vec<Place>,
    prepare: Option<u64>,
    sync_witness: bool,
}

fn wait(shared: &Shared) -> (Work, bool) {
    let mut chores = shared.chores.lock();
    loop {
        let stop = chores.stop;
        let work = Work::take(&mut chores, stop);
        if stop || !work.retired.is_empty() || work.prepare.is_some() || work.sync_witness {
            return (work, stop);
        }
        // A chore that waits for its time sets the deadline.
        let prepare_at = chores.prepare.and(chores.prepare_not_before);
        let retire_at = chores
            .retire_not_before
            .filter(|_| !chores.retired.is_empty());
        let deadlines = [prepare_at, retire_at, chores.witness_due];
        match deadlines.into_iter().flatten().min() {
            Some(deadline) => {
                shared.chore.wait_until(&mut chores, deadline);
            }
            None => shared.chore.wait(&mut chores),
        }
    }
}

impl Work {
    fn take(chores: &mut Chores, all: bool) -> Self {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        let sync_witness = all || chores.witness_due.is_some_and(|at| at <= now);
        if sync_witness {
            chores.witness_due = None;
        }
        let prepare = if due(chores.prepare_not_before) {
            chores.prepare.take()
        } else {
            None
        };
        let retired = if due(chores.retire_not_before) {
            std::mem::take(&mut chores.retired)
        } else {
            Vec::new()
        };
        Self {
            retired,
            prepare,
            sync_witness,
        }
    }

    fn perform(self, shared: &Shared) -> Result<(), WalError> {
        if !self.retired.is_empty() {
            retire(shared, self.retired)?;
        }
        if let Some(seq) = self.prepare {
            self::prepare(shared, seq)?;
        }
        if self.sync_witness {
            let again = shared.witness.sync();
            if again.map_err(|error| WalError::failed("syncing the witness", error))? {
                shared.witness_became_dirty();
            }
        }
        Ok(())
    }
}

/// A file system that cannot even forget a file for want of room is asked again.
fn retire(shared: &Shared, mut retired: Vec<Place>) -> Result<(), WalError> {
    match shared.pool.retire(&shared.storage, &mut retired) {
        Err(error) if is_full(&error) => {
            let mut chores = shared.chores.lock();
            retired.append(&mut chores.retired);
            chores.retired = retired;
            let pause = Duration::from_millis(FULL_RETRY_MS);
            chores.retire_not_before = Some(Instant::now() + pause);
            Ok(())
        }
        Err(error) => Err(WalError::failed("retiring a segment", error)),
        Ok(()) => {
            shared.chores.lock().retire_not_before = None;
            Ok(())
        }
    }
}

/// A full disk is not fatal: the current segment has room. The writer waits when it does not.
fn prepare(shared: &Shared, seq: u64) -> Result<(), WalError> {
    match shared.pool.prepare(&shared.storage, seq) {
        Err(error) if is_full(&error) => {
            let mut chores = shared.chores.lock();
            chores.prepare.get_or_insert(seq);
            let pause = Duration::from_millis(PREALLOCATE_RETRY_MS);
            chores.prepare_not_before = Some(Instant::now() + pause);
            Ok(())
        }
        Err(error) => Err(WalError::failed("preparing the next segment", error)),
        Ok(()) => {
            shared.chores.lock().prepare_not_before = None;
            Ok(())
        }
    }
}
