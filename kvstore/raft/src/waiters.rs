//! Who waits for which command.
//!
//! Every member hands out sequence numbers for the commands that came in through it and picks their
//! results up when it applies them itself, whoever was leader: a client that got an answer can read
//! its write from the same member at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::command::Applied;
use crate::error::Error;
use crate::limits::PENDING_PROPOSALS_MAX;

const SHARDS: usize = 16;

/// The result of one command.
pub(crate) type Outcome = Result<Applied, Error>;

/// How a proposal ended.
#[derive(Debug)]
pub(crate) enum Settled {
    /// It was applied here.
    Applied(Outcome),
    /// It never entered the log: proposing it again cannot do it twice.
    Rejected,
    /// It may or may not happen.
    Unknown,
}

/// The table of waiting proposals of this member.
#[derive(Debug)]
pub(crate) struct Waiters {
    next: AtomicU64,
    count: AtomicUsize,
    shards: Vec<Mutex<HashMap<u64, oneshot::Sender<Settled>>>>,
}

/// One registration; dropping it takes the proposal off the table.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    table: &'a Waiters,
    pub(crate) seq: u64,
    pub(crate) outcome: oneshot::Receiver<Settled>,
}

impl Waiters {
    /// `first` must differ between runs of a process so that a replayed command finds nobody.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            next: AtomicU64::new(first),
            count: AtomicUsize::new(0),
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
        }
    }

    fn shard(&self, seq: u64) -> &Mutex<HashMap<u64, oneshot::Sender<Settled>>> {
        &self.shards[(seq % SHARDS as u64) as usize]
    }

    /// Takes a place, or refuses when too many wait already.
    pub(crate) fn register(&self) -> Result<Waiting<'_>, Error> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= PENDING_PROPOSALS_MAX {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::TooManyRequests);
        }
        let seq = self.next.fetch_add(1, Ordering::Relaxed);
        let (tx, outcome) = oneshot::channel();
        self.shard(seq).lock().insert(seq, tx);
        Ok(Waiting {
            table: self,
            seq,
            outcome,
        })
    }

    /// Hands a result to whoever waits for it, if anybody still does.
    pub(crate) fn complete(&self, seq: u64, outcome: Settled) {
        let waiter = self.shard(seq).lock().remove(&seq);
        if let Some(tx) = waiter {
            // The receiver may have given up in this instant; nobody is left to tell then.
            let _ = tx.send(outcome);
        }
    }

    pub(crate) fn pending(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.table.shard(self.seq).lock().remove(&self.seq);
        self.table.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_reaches_its_waiter_only() {
        let table = Waiters::new(100);
        let mut a = table.register().expect("room");
        let mut b = table.register().expect("room");
        table.complete(b.seq, Settled::Applied(Ok(Applied::Done)));
        assert!(a.outcome.try_recv().is_err());
        assert!(b.outcome.try_recv().is_ok());
        drop((a, b));
        assert_eq!(table.pending(), 0);
    }

    #[test]
    fn the_table_is_bounded() {
        let table = Waiters::new(0);
        let held: Vec<_> = (0..PENDING_PROPOSALS_MAX)
            .map(|_| table.register().expect("room"))
            .collect();
        assert!(matches!(table.register(), Err(Error::TooManyRequests)));
        drop(held);
        assert!(table.register().is_ok());
    }
}
