//! Commands turned into one engine batch.

use bytes::BytesMut;
use mainstay_engine::{Cf, Engine};
use mainstay_lease::{Checkpoint, LeaseError, Lessor, Record};
use mainstay_mvcc::{Apply, LeaseLookup, MvccError};
use mainstay_proto::etcdserverpb::AlarmType;

use crate::alarms::{AlarmChange, Alarms, Effect};
use crate::codec::put_stored_membership;
use crate::command::{Applied, Decoded, Origin};
use crate::error::Error;
use crate::members::{Attributes, Members};
use crate::metrics::{Metrics, count};
use crate::quota::txn_charge;
use crate::records::{
    META_ATTRIBUTES, META_MEMBERSHIP, META_REMOVED, META_REPAIRING, alarm_key, id_key, lease_key,
};
use crate::types::StoredMembership;
use crate::waiters::Outcome;

/// Lets transactions ask for leases while the lessor is locked for a batch.
struct Leases<'a>(&'a Lessor);

impl LeaseLookup for Leases<'_> {
    fn exists(&self, id: i64) -> bool {
        self.0.exists(id)
    }
}

/// One engine batch in the making.
pub(crate) struct Batch<'a, T: Engine> {
    pub(crate) apply: Apply<'a, T>,
    pub(crate) lessor: &'a mut Lessor,
    pub(crate) members: &'a mut Members,
    pub(crate) members_changed: bool,
    pub(crate) alarms: &'a mut Alarms,
    pub(crate) alarms_changed: bool,
    pub(crate) compacted: Option<i64>,
    pub(crate) outcomes: Vec<(u64, Outcome)>,
    pub(crate) me: u64,
    pub(crate) now_ms: u64,
    pub(crate) metrics: &'a Metrics,
}

impl<T: Engine> Batch<'_, T> {
    pub(crate) fn command(&mut self, origin: Origin, command: Decoded) -> Result<(), MvccError> {
        let outcome = match self.execute(command) {
            Err(e) if e.is_fatal() => return Err(e),
            Err(e) => Err(map_mvcc(e)),
            Ok(outcome) => outcome,
        };
        if origin.member == self.me {
            self.outcomes.push((origin.seq, outcome));
        }
        Ok(())
    }

    /// What active alarms forbid, as in etcd: damage any change of the store, want of space what adds to it.
    fn refusal(&self, command: &Decoded) -> Option<Error> {
        if self.alarms.is_empty() {
            return None;
        }
        let (changes, adds) = match command {
            Decoded::Put(_) | Decoded::LeaseGrant { .. } => (true, true),
            Decoded::Txn(r) => (true, txn_charge(r) > 0),
            Decoded::DeleteRange(_) | Decoded::Compact { .. } | Decoded::LeaseRevoke { .. } => {
                (true, false)
            }
            _ => (false, false),
        };
        if changes && self.alarms.any(AlarmType::Corrupt) {
            return Some(Error::Corrupt);
        }
        (adds && self.alarms.any(AlarmType::Nospace)).then_some(Error::NoSpace)
    }

    /// The outer error is of the store, the inner one an answer.
    fn execute(&mut self, command: Decoded) -> Result<Outcome, MvccError> {
        if let Some(refusal) = self.refusal(&command) {
            return Ok(Err(refusal));
        }
        Ok(match command {
            Decoded::Put(r) => Ok(Applied::Put(self.apply.put(&r, &Leases(self.lessor))?)),
            Decoded::DeleteRange(r) => Ok(Applied::DeleteRange(self.apply.delete_range(&r)?)),
            Decoded::Txn(r) => Ok(Applied::Txn(self.apply.txn(&r, &Leases(self.lessor))?)),
            Decoded::Compact { revision } => {
                self.apply.compact(revision)?;
                self.compacted = self.compacted.max(Some(revision));
                Ok(Applied::Compact {
                    revision: self.apply.revision(),
                })
            }
            Decoded::LeaseGrant { id, ttl } => self.grant(id, ttl),
            Decoded::LeaseRevoke { id } => self.revoke(id)?,
            Decoded::LeaseCheckpoint(list) => {
                for (id, remaining_ms) in list {
                    if let Some(record) = self.lessor.checkpoint(Checkpoint { id, remaining_ms }) {
                        self.save_lease(id, &record);
                    }
                }
                Ok(Applied::Done)
            }
            Decoded::Attributes {
                id,
                name,
                client_urls,
                incarnation,
            } => {
                let known = self.members.attributes.get(&id);
                // Only a repair changes the incarnation: this may be an old message of the former self.
                let same = known.is_none_or(|known| known.incarnation == incarnation);
                if self.members.contains(id) && same {
                    let attributes = Attributes {
                        name,
                        client_urls,
                        incarnation,
                    };
                    let key = id_key(META_ATTRIBUTES, id);
                    self.apply
                        .batch_mut()
                        .put(Cf::Meta, &key, &attributes.encode());
                    self.members.attributes.insert(id, attributes);
                    self.members_changed = true;
                }
                Ok(Applied::Done)
            }
            Decoded::Alarm(change) => Ok(self.change_alarm(&change)),
            Decoded::Repair { id, incarnation } => {
                if self.members.begin_repair(id, incarnation) {
                    self.save_repairing(id);
                }
                Ok(Applied::Done)
            }
            Decoded::RepairOver { id } => {
                if self.members.end_repair(id) {
                    let key = id_key(META_REMOVED, id);
                    self.apply.batch_mut().put(Cf::Meta, &key, &[]);
                }
                self.save_repairing(id);
                Ok(Applied::Done)
            }
        })
    }

    fn change_alarm(&mut self, change: &AlarmChange) -> Applied {
        let (effect, named) = self.alarms.change(change);
        let key = alarm_key(change.kind as i32, change.member);
        let batch = self.apply.batch_mut();
        match effect {
            Effect::Nothing => {}
            Effect::Saved(cause) => batch.put(Cf::Meta, &key, &[cause.code()]),
            Effect::Dropped => batch.delete(Cf::Meta, &key),
        }
        self.alarms_changed |= effect != Effect::Nothing;
        Applied::Alarm {
            named,
            revision: self.apply.revision(),
        }
    }

    /// A member that is gone cannot withdraw what its disk raised.
    fn forget_alarms(&mut self, member: u64) {
        for kind in self.alarms.of_disk(member) {
            self.alarms.remove(kind, member);
            self.apply
                .batch_mut()
                .delete(Cf::Meta, &alarm_key(kind, member));
            self.alarms_changed = true;
        }
    }

    /// Writes what is known of a member under repair, or that there is nothing any more.
    fn save_repairing(&mut self, id: u64) {
        let key = id_key(META_REPAIRING, id);
        let batch = self.apply.batch_mut();
        match self.members.repairing.get(&id) {
            Some(repairing) => batch.put(Cf::Meta, &key, &repairing.encode()),
            None => batch.delete(Cf::Meta, &key),
        }
        self.members_changed = true;
    }

    fn grant(&mut self, id: i64, ttl: i64) -> Outcome {
        let record = self
            .lessor
            .grant(id, ttl, self.now_ms)
            .map_err(|e| match e {
                LeaseError::Exists => Error::LeaseExists,
                LeaseError::TooLarge => Error::LeaseTtlTooLarge,
                _ => Error::LeaseNotFound,
            })?;
        self.save_lease(id, &record);
        count(&self.metrics.leases_granted);
        Ok(Applied::LeaseGrant {
            id,
            ttl: record.ttl_s,
            revision: self.apply.revision(),
        })
    }

    fn revoke(&mut self, id: i64) -> Result<Outcome, MvccError> {
        if self.lessor.revoke(id).is_err() {
            return Ok(Err(Error::LeaseNotFound));
        }
        self.apply.delete_lease_keys(id)?;
        self.apply.batch_mut().delete(Cf::Lease, &lease_key(id));
        count(&self.metrics.leases_revoked);
        Ok(Ok(Applied::LeaseRevoke {
            revision: self.apply.revision(),
        }))
    }

    fn save_lease(&mut self, id: i64, record: &Record) {
        self.apply
            .batch_mut()
            .put(Cf::Lease, &lease_key(id), &record.encode());
    }

    pub(crate) fn membership(&mut self, stored: StoredMembership) {
        let moved = self.members.apply(stored);
        let batch = self.apply.batch_mut();
        for id in moved.removed.iter().chain(&moved.out) {
            batch.delete(Cf::Meta, &id_key(META_ATTRIBUTES, *id));
        }
        for id in &moved.removed {
            batch.put(Cf::Meta, &id_key(META_REMOVED, *id), &[]);
        }
        for id in &moved.back {
            let attributes = self.members.attributes[id].encode();
            batch.put(Cf::Meta, &id_key(META_ATTRIBUTES, *id), &attributes);
        }
        for id in moved.removed.iter().chain(&moved.out) {
            self.forget_alarms(*id);
        }
        for id in moved.out.into_iter().chain(moved.back) {
            self.save_repairing(id);
        }
        let mut out = BytesMut::new();
        put_stored_membership(&mut out, &self.members.stored);
        self.apply.batch_mut().put(Cf::Meta, META_MEMBERSHIP, &out);
        self.members_changed = true;
    }
}

fn map_mvcc(e: MvccError) -> Error {
    match e {
        MvccError::LeaseNotFound => Error::LeaseNotFound,
        other => Error::Mvcc(other),
    }
}
