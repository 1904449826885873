//! The lessor: replicated records, and the leader's deadlines while this member leads.

use std::collections::HashMap;

use crate::deadlines::Deadlines;
use crate::limits::TTL_MAX_S;
use crate::{LeaseError, Record};
use mainstay_planted::{Bug, has};

/// A remaining time to be replicated, or that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The lease.
    pub id: i64,
    /// Remaining time in milliseconds; 0 resets to the full TTL (what a renewal replicates).
    pub remaining_ms: u64,
}

/// The outcome of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The TTL the lease has again, in seconds.
    pub ttl_s: i64,
    /// A checkpoint has or may have been recorded since the last renewal: before acknowledging this one, the caller
    /// must replicate `Checkpoint { id, remaining_ms: 0 }`, proposed after every checkpoint this lessor handed out
    /// earlier. Otherwise the next leader would expire the lease early.
    pub needs_reset: bool,
}

/// What the leader can say about a lease's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeToLive {
    /// Remaining whole seconds, rounded down, 0 once the deadline has passed.
    pub remaining_s: i64,
    /// Granted seconds.
    pub granted_s: i64,
}

/// The minimum TTL for an election timeout: one and a half of it, in whole seconds rounded up.
#[must_use]
pub fn min_ttl_s(election_ms: u64) -> i64 {
    let ms = election_ms.saturating_mul(3).div_ceil(2);
    i64::try_from(ms.div_ceil(1_000))
        .unwrap_or(TTL_MAX_S)
        .clamp(1, TTL_MAX_S)
}

/// A positive lease id from a random number, for requests that leave the choice to the server.
#[must_use]
pub fn positive_id(random: u64) -> i64 {
    i64::try_from(random >> 1).map_or(1, |id| id.max(1))
}

/// All leases of the store. Times are milliseconds of any clock that never goes back while this member leads.
#[derive(Debug)]
pub struct Lessor {
    records: HashMap<i64, Record>,
    min_ttl_s: i64,
    leading: Option<Deadlines>,
}

impl Lessor {
    /// An empty lessor of a follower. `min_ttl_s` (see [`min_ttl_s`]) is the least TTL granted; as with etcd, all
    /// members must be configured alike for their records to agree.
    #[must_use]
    pub fn new(min_ttl_s: i64) -> Self {
        let min_ttl_s = min_ttl_s.clamp(1, TTL_MAX_S);
        Self {
            records: HashMap::new(),
            min_ttl_s,
            leading: None,
        }
    }

    /// Replaces everything by what storage holds and forgets deadlines: after a restart or an installed snapshot.
    /// A leader must be promoted again.
    pub fn load(&mut self, records: impl IntoIterator<Item = (i64, Record)>) {
        self.leading = None;
        self.records = records.into_iter().collect();
    }

    // ---- apply side: deterministic, the same on every member ----

    /// The check of a grant before it is replicated: the TTL raised to the minimum, or [`LeaseError::TooLarge`].
    pub fn admit(&self, ttl_s: i64) -> Result<i64, LeaseError> {
        if ttl_s > TTL_MAX_S {
            Err(LeaseError::TooLarge)
        } else {
            Ok(ttl_s.max(self.min_ttl_s))
        }
    }

    /// Applies a grant and returns the record to store. `now_ms` only starts the leader's deadline.
    ///
    /// Errors: [`LeaseError::NoId`], [`LeaseError::TooLarge`], [`LeaseError::Exists`].
    pub fn grant(&mut self, id: i64, ttl_s: i64, now_ms: u64) -> Result<Record, LeaseError> {
        if id == 0 {
            return Err(LeaseError::NoId);
        }
        let ttl_s = self.admit(ttl_s)?;
        if self.records.contains_key(&id) {
            return Err(LeaseError::Exists);
        }
        let record = Record {
            ttl_s,
            remaining_ms: 0,
        };
        self.records.insert(id, record);
        if let Some(leading) = &mut self.leading {
            leading.start(id, &record, now_ms);
        }
        Ok(record)
    }

    /// Applies a revocation; the caller deletes the stored record and the attached keys.
    pub fn revoke(&mut self, id: i64) -> Result<(), LeaseError> {
        self.records.remove(&id).ok_or(LeaseError::NotFound)?;
        if let Some(leading) = &mut self.leading {
            leading.stop(id);
        }
        Ok(())
    }

    /// Applies a checkpoint and returns the record to store, or `None` if the lease is gone or nothing changed. The
    /// leader's own deadline is not touched: it knows better.
    pub fn checkpoint(&mut self, checkpoint: Checkpoint) -> Option<Record> {
        let record = self.records.get_mut(&checkpoint.id)?;
        let remaining_ms = checkpoint.remaining_ms.min(record.ttl_ms());
        let changed = std::mem::replace(&mut record.remaining_ms, remaining_ms) != remaining_ms;
        if let Some(leading) = &mut self.leading {
            leading.recorded(checkpoint.id, checkpoint.remaining_ms, record);
        }
        changed.then_some(*record)
    }

    // ---- any member ----

    /// Whether the lease exists.
    #[must_use]
    pub fn exists(&self, id: i64) -> bool {
        self.records.contains_key(&id)
    }

    /// The replicated record of a lease.
    #[must_use]
    pub fn record(&self, id: i64) -> Option<Record> {
        self.records.get(&id).copied()
    }

    /// Number of leases.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no lease.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// All ids: on the leader those that expire first lead, elsewhere by id.
    #[must_use]
    pub fn leases(&self) -> Vec<i64> {
        if let Some(leading) = &self.leading {
            return leading.by_deadline();
        }
        let mut ids: Vec<_> = self.records.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    // ---- the leader ----

    /// Whether this member keeps deadlines.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leading.is_some()
    }

    /// This member leads and has applied everything of earlier terms: each lease has its recorded remaining time,
    /// or its full TTL, from now on. A second call starts anew.
    pub fn promote(&mut self, now_ms: u64) {
        if has(Bug::LeaseDroppedOnLeaderChange) {
            self.records.clear();
        }
        let mut deadlines = Deadlines::default();
        for (&id, record) in &self.records {
            deadlines.start(id, record, now_ms);
        }
        self.leading = Some(deadlines);
    }

    /// This member no longer leads: nothing expires here. Checkpoints that were handed out and not yet proposed must
    /// be forgotten by the caller: proposed in a later term they would overtake renewals.
    pub fn demote(&mut self) {
        self.leading = None;
    }

    /// Gives the lease its full TTL again. See [`Renewal::needs_reset`] before acknowledging.
    ///
    /// Errors: [`LeaseError::NotLeader`]; [`LeaseError::NotFound`]; [`LeaseError::Expired`]: wait until the
    /// revocation is applied, then answer as for an unknown lease.
    pub fn renew(&mut self, id: i64, now_ms: u64) -> Result<Renewal, LeaseError> {
        let leading = self.leading.as_mut().ok_or(LeaseError::NotLeader)?;
        let record = self.records.get(&id).ok_or(LeaseError::NotFound)?;
        let timer = leading.get(id).ok_or(LeaseError::NotFound)?;
        if timer.deadline <= now_ms {
            return Err(LeaseError::Expired);
        }
        let needs_reset = leading.renew(id, record, now_ms);
        Ok(Renewal {
            ttl_s: record.ttl_s,
            needs_reset,
        })
    }

    /// The remaining and granted TTL. Errors: [`LeaseError::NotLeader`], [`LeaseError::NotFound`].
    pub fn time_to_live(&self, id: i64, now_ms: u64) -> Result<TimeToLive, LeaseError> {
        let leading = self.leading.as_ref().ok_or(LeaseError::NotLeader)?;
        let record = self.records.get(&id).ok_or(LeaseError::NotFound)?;
        let timer = leading.get(id).ok_or(LeaseError::NotFound)?;
        let remaining_s = i64::try_from(timer.remaining(now_ms) / 1_000).unwrap_or(i64::MAX);
        Ok(TimeToLive {
            remaining_s,
            granted_s: record.ttl_s,
        })
    }

    /// Up to `max` leases to revoke now, those that expired first leading. Not handed out again before they are
    /// revoked or [`crate::limits::EXPIRY_RETRY_MS`] has passed. The caller proposes the revocations only after making sure that it
    /// still leads, in the term it was promoted in.
    pub fn due_expired(&mut self, now_ms: u64, max: usize) -> Vec<i64> {
        self.leading
            .as_mut()
            .map_or_else(Vec::new, |leading| leading.expired(now_ms, max))
    }

    /// Up to `max` checkpoints to replicate now: leases whose recorded remaining time exceeds the true one by the
    /// granularity (the greater of one second and a tenth of the TTL).
    pub fn due_checkpoints(&mut self, now_ms: u64, max: usize) -> Vec<Checkpoint> {
        let records = &self.records;
        self.leading.as_mut().map_or_else(Vec::new, |leading| {
            leading.checkpoints(records, now_ms, max)
        })
    }

    /// The exact remaining time of every lease whose record is behind, for a clean hand-over of leadership. The
    /// caller splits it into proposals of a size it likes.
    pub fn checkpoint_all(&mut self, now_ms: u64) -> Vec<Checkpoint> {
        let records = &self.records;
        self.leading
            .as_mut()
            .map_or_else(Vec::new, |leading| leading.checkpoint_all(records, now_ms))
    }
}
