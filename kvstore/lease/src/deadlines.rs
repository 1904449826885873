//! The leader's half: when leases expire and when their checkpoints are due.
//!
//! Both orders are sets of (time, id) holding exactly one entry per lease. A renewal moves times later only, so it
//! leaves the sets alone: an entry that comes up too early is put back at its true time. That makes a renewal one
//! hash lookup, whatever the number of leases.

use std::collections::{BTreeSet, HashMap};

use crate::limits::{
    CHECKPOINT_MIN_MS, CHECKPOINT_RETRY_MS, CHECKPOINT_TTL_DIVISOR, EXPIRY_RETRY_MS,
};
use crate::{Checkpoint, Record};
use mainstay_planted::{Bug, has};

/// What the leader knows about one lease beyond its record. Times are milliseconds of the leader's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    pub(crate) deadline: u64,
    /// The remaining time of the checkpoint that was handed out last, until it is applied. While it is under way
    /// the record cannot be trusted to be free of checkpoints.
    in_flight: Option<u64>,
    /// The lease's key in `Deadlines::expiry`.
    expiry_at: u64,
    /// The lease's key in `Deadlines::checkpoints`.
    checkpoint_at: u64,
}

impl Timer {
    pub(crate) fn remaining(&self, now: u64) -> u64 {
        self.deadline.saturating_sub(now)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    timers: HashMap<i64, Timer>,
    expiry: BTreeSet<(u64, i64)>,
    checkpoints: BTreeSet<(u64, i64)>,
}

/// How far the recorded remaining time may exceed the true one.
fn granularity_ms(record: &Record) -> u64 {
    CHECKPOINT_MIN_MS.max(record.ttl_ms() / CHECKPOINT_TTL_DIVISOR)
}

/// When the recorded remaining time of a lease with this deadline will be off by the granularity.
fn checkpoint_due(record: &Record, deadline: u64) -> u64 {
    let recorded_from = deadline.saturating_sub(record.effective_ms());
    recorded_from.saturating_add(granularity_ms(record))
}

fn in_time(ms: u64) -> u64 {
    if has(Bug::LeaseTooEarly) { ms / 2 } else { ms }
}

impl Deadlines {
    /// Starts the timer of a lease that has none, from its recorded remaining time.
    pub(crate) fn start(&mut self, id: i64, record: &Record, now: u64) {
        let deadline = now.saturating_add(in_time(record.effective_ms()));
        let checkpoint_at = checkpoint_due(record, deadline);
        let timer = Timer {
            deadline,
            in_flight: None,
            expiry_at: deadline,
            checkpoint_at,
        };
        let old = self.timers.insert(id, timer);
        debug_assert!(old.is_none(), "a lease has one timer");
        self.expiry.insert((deadline, id));
        self.checkpoints.insert((checkpoint_at, id));
    }

    pub(crate) fn stop(&mut self, id: i64) {
        if let Some(timer) = self.timers.remove(&id) {
            self.expiry.remove(&(timer.expiry_at, id));
            self.checkpoints.remove(&(timer.checkpoint_at, id));
        }
    }

    pub(crate) fn get(&self, id: i64) -> Option<&Timer> {
        self.timers.get(&id)
    }

    /// Restarts the full TTL. Returns whether a checkpoint may stand in the way of it in the log.
    pub(crate) fn renew(&mut self, id: i64, record: &Record, now: u64) -> bool {
        let Some(timer) = self.timers.get_mut(&id) else {
            return false;
        };
        timer.deadline = timer
            .deadline
            .max(now.saturating_add(in_time(record.ttl_ms())));
        timer.in_flight.is_some() || record.remaining_ms != 0
    }

    /// A checkpoint or reset was applied: `record` is its outcome.
    pub(crate) fn recorded(&mut self, id: i64, applied_ms: u64, record: &Record) {
        let Some(timer) = self.timers.get_mut(&id) else {
            return;
        };
        if timer.in_flight == Some(applied_ms) {
            timer.in_flight = None;
        }
        self.checkpoints.remove(&(timer.checkpoint_at, id));
        timer.checkpoint_at = checkpoint_due(record, timer.deadline);
        self.checkpoints.insert((timer.checkpoint_at, id));
    }

    /// Up to `max` ids whose deadline has passed and that were not handed out within the retry time.
    pub(crate) fn expired(&mut self, now: u64, max: usize) -> Vec<i64> {
        let mut out = Vec::new();
        while out.len() < max {
            let Some(&(at, id)) = self.expiry.first() else {
                break;
            };
            if at > now {
                break;
            }
            self.expiry.pop_first();
            let Some(timer) = self.timers.get_mut(&id) else {
                continue;
            };
            timer.expiry_at = if timer.deadline > now {
                timer.deadline
            } else {
                out.push(id);
                now.saturating_add(EXPIRY_RETRY_MS)
            };
            self.expiry.insert((timer.expiry_at, id));
        }
        out
    }

    /// Up to `max` checkpoints that are due; each is due again when the record has drifted anew, or after the
    /// retry time if it was not applied.
    pub(crate) fn checkpoints(
        &mut self,
        records: &HashMap<i64, Record>,
        now: u64,
        max: usize,
    ) -> Vec<Checkpoint> {
        let mut out = Vec::new();
        while out.len() < max {
            let Some(&(at, id)) = self.checkpoints.first() else {
                break;
            };
            if at > now {
                break;
            }
            self.checkpoints.pop_first();
            let (Some(timer), Some(record)) = (self.timers.get_mut(&id), records.get(&id)) else {
                continue;
            };
            let due = checkpoint_due(record, timer.deadline);
            timer.checkpoint_at = if due > now {
                due
            } else if timer.deadline <= now {
                // Expired: it is about to be revoked; look again in case it is not.
                now.saturating_add(EXPIRY_RETRY_MS)
            } else {
                let remaining_ms = timer.remaining(now);
                timer.in_flight = Some(remaining_ms);
                out.push(Checkpoint { id, remaining_ms });
                now.saturating_add(CHECKPOINT_RETRY_MS.min(granularity_ms(record)))
            };
            self.checkpoints.insert((timer.checkpoint_at, id));
        }
        out
    }

    /// A checkpoint of every lease whose record is behind, by however little.
    pub(crate) fn checkpoint_all(
        &mut self,
        records: &HashMap<i64, Record>,
        now: u64,
    ) -> Vec<Checkpoint> {
        let mut out = Vec::new();
        for (&id, timer) in &mut self.timers {
            let remaining_ms = timer.remaining(now).max(1);
            if records
                .get(&id)
                .is_some_and(|r| r.effective_ms() > remaining_ms)
            {
                timer.in_flight = Some(remaining_ms);
                out.push(Checkpoint { id, remaining_ms });
            }
        }
        out.sort_unstable_by_key(|c| c.id);
        out
    }

    /// All ids, those that expire first leading.
    pub(crate) fn by_deadline(&self) -> Vec<i64> {
        let mut all: Vec<_> = self
            .timers
            .iter()
            .map(|(&id, t)| (t.deadline, id))
            .collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }
}
