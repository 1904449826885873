//! Leases: never shorter than promised, gone for good once gone, and honest about it.

use std::collections::{BTreeMap, HashMap};

use crate::history::{Answer, FailureKind, History, Op, Operation, Outcome};
use crate::replay::{Author, Log};
use crate::verdict::{Anomaly, AnomalyKind, Report};

const NANOS: u64 = 1_000_000_000;

/// What is known of one lease.
#[derive(Default)]
struct Lease {
    grants: Vec<Grant>,
    /// Promised to live until then, by which operation: (call + TTL, call, return, id).
    promises: Vec<(u64, u64, u64, u64)>,
    /// Calls of revocations that may have happened.
    revoked_from: Option<u64>,
    /// When a member first said that it is gone, and in which operation.
    gone: Option<(u64, u64)>,
    /// Uses that show it alive: (call, id, what).
    alive: Vec<(u64, u64, &'static str)>,
    /// TTLs told: (granted, left, id).
    told: Vec<(i64, i64, u64)>,
}

struct Grant {
    acknowledged: bool,
    ttl: i64,
}

/// When each lease ends at the earliest, by what was answered.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    leases: HashMap<i64, Bound>,
}

/// Times with the operations that show them.
#[derive(Debug, Default)]
struct Bound {
    /// Promised to live until then.
    promised: (u64, u64),
    /// Last used then.
    used: (u64, u64),
}

impl Bounds {
    pub(crate) fn new(history: &History) -> Self {
        let leases = known(history)
            .into_iter()
            .filter(|(_, lease)| lease.grants.len() <= 1)
            .map(|(id, lease)| {
                let promises = lease.promises.iter();
                let promised = promises.map(|(until, _, _, id)| (*until, *id)).max();
                let used = lease.alive.iter().map(|(call, id, _)| (*call, *id)).max();
                let bound = Bound {
                    promised: promised.unwrap_or_default(),
                    used: used.unwrap_or_default(),
                };
                (id, bound)
            })
            .collect();
        Self { leases }
    }

    /// What is wrong with a lease that had run out by a moment.
    pub(crate) fn expired(&self, lease: i64, by: u64) -> Option<Anomaly> {
        let (until, promise) = self.leases.get(&lease)?.promised;
        if until <= by {
            return self.ended(lease, by);
        }
        let early = (until - by) / 1_000_000;
        let text = format!("lease {lease} ended at least {early} ms before its time");
        Some(Anomaly::new(AnomalyKind::LeaseEarly, text).op(promise))
    }

    /// What is wrong with a lease that had ended in any way by a moment.
    pub(crate) fn ended(&self, lease: i64, by: u64) -> Option<Anomaly> {
        let (used, operation) = self.leases.get(&lease)?.used;
        let text = format!("lease {lease} is used after its keys have ended");
        (used > by).then(|| Anomaly::new(AnomalyKind::LeaseResurrected, text).op(operation))
    }
}

fn known(history: &History) -> BTreeMap<i64, Lease> {
    let mut leases = BTreeMap::new();
    for operation in &history.operations {
        learn(operation, &mut leases);
    }
    leases
}

/// What answers about leases tell. The ends of leases that had keys are judged by the replay.
pub(crate) fn check(history: &History, log: &Log) -> Report {
    let mut report = Report::new("leases");
    let leases = known(history);
    let ends = log
        .entries
        .iter()
        .filter(|entry| matches!(entry.author, Author::Expired(_)))
        .count();
    report.count("leases", leases.len());
    report.count("expired-with-keys", ends);
    for (id, lease) in &leases {
        lease.judge(*id, &mut report);
    }
    report
}

fn learn(operation: &Operation, leases: &mut BTreeMap<i64, Lease>) {
    match operation.outcome {
        Outcome::Ok => learn_answer(operation, leases),
        Outcome::Fail => learn_refusal(operation, leases),
        Outcome::Unknown => match &operation.op {
            Op::LeaseGrant(grant) => {
                leases.entry(grant.lease).or_default().grants.push(Grant {
                    acknowledged: false,
                    ttl: grant.ttl,
                });
            }
            Op::LeaseRevoke { lease } => leases.entry(*lease).or_default().may_end(operation.call),
            _ => {}
        },
    }
}

fn learn_answer(operation: &Operation, leases: &mut BTreeMap<i64, Lease>) {
    let (Some(result), Some(returned)) = (&operation.result, operation.returned) else {
        return;
    };
    let (call, id) = (operation.call, operation.id);
    let promise = |ttl: i64| {
        let nanos = u64::try_from(ttl).unwrap_or(0).saturating_mul(NANOS);
        (call.saturating_add(nanos), call, returned, id)
    };
    match (&operation.op, &result.answer) {
        (Op::LeaseGrant(_), Answer::LeaseGrant { lease, ttl }) => {
            let lease = leases.entry(*lease).or_default();
            lease.promises.push(promise(*ttl));
            lease.grants.push(Grant {
                acknowledged: true,
                ttl: *ttl,
            });
        }
        (Op::LeaseKeepAlive { lease }, Answer::LeaseKeepAlive { ttl }) => {
            let lease = leases.entry(*lease).or_default();
            lease.promises.push(promise(*ttl));
            lease.alive.push((call, id, "a keepalive"));
            lease.told.push((*ttl, *ttl, id));
        }
        (Op::LeaseRevoke { lease }, _) => {
            let lease = leases.entry(*lease).or_default();
            lease.may_end(call);
            lease.is_gone(returned, id);
        }
        (
            Op::LeaseTtl { lease, .. },
            Answer::LeaseTtl {
                ttl, granted_ttl, ..
            },
        ) => {
            let lease = leases.entry(*lease).or_default();
            if *ttl < 0 {
                lease.is_missed(call, returned, id);
            } else {
                lease.alive.push((call, id, "a time to live"));
                lease.told.push((*granted_ttl, *ttl, id));
            }
        }
        (op, answer) => attached(op, answer, &mut |lease| {
            let lease = leases.entry(lease).or_default();
            lease.alive.push((call, id, "a put"));
        }),
    }
}

/// Calls `with` for every lease that the request attached a key to.
fn attached(op: &Op, answer: &Answer, with: &mut impl FnMut(i64)) {
    match (op, answer) {
        (Op::Put(put), _) if put.lease != 0 => with(put.lease),
        (
            Op::Txn(txn),
            Answer::Txn {
                succeeded,
                responses,
            },
        ) => {
            let steps = if *succeeded {
                &txn.then
            } else {
                &txn.otherwise
            };
            for (step, response) in steps.iter().zip(responses) {
                attached(step, response, with);
            }
        }
        _ => {}
    }
}

fn learn_refusal(operation: &Operation, leases: &mut BTreeMap<i64, Lease>) {
    let not_found = operation
        .error
        .as_ref()
        .is_some_and(|error| error.kind == FailureKind::LeaseNotFound);
    let (true, Some(returned)) = (not_found, operation.returned) else {
        return;
    };
    let lease = match &operation.op {
        Op::LeaseKeepAlive { lease } | Op::LeaseRevoke { lease } | Op::LeaseTtl { lease, .. } => {
            *lease
        }
        Op::Put(put) => put.lease,
        _ => return,
    };
    leases
        .entry(lease)
        .or_default()
        .is_missed(operation.call, returned, operation.id);
}

impl Lease {
    fn may_end(&mut self, call: u64) {
        self.revoked_from = Some(self.revoked_from.map_or(call, |from| from.min(call)));
    }

    /// An answer says that there is no such lease. Before its grant was acknowledged that means nothing.
    fn is_missed(&mut self, call: u64, returned: u64, id: u64) {
        let granted = self
            .promises
            .iter()
            .map(|(_, _, returned, _)| *returned)
            .min();
        if granted.is_some_and(|granted| granted < call) {
            self.is_gone(returned, id);
        }
    }

    fn is_gone(&mut self, time: u64, by: u64) {
        if self.gone.is_none_or(|(known, _)| time < known) {
            self.gone = Some((time, by));
        }
    }

    fn judge(&self, id: i64, report: &mut Report) {
        if self.grants.is_empty() {
            if let Some((_, operation, what)) = self.alive.first() {
                let text = format!("{what} used lease {id}, which nobody asked for");
                report.found(Anomaly::new(AnomalyKind::LeaseUnknown, text).op(*operation));
            }
            return;
        }
        if self.grants.len() > 1 {
            report
                .notes
                .push(format!("lease {id} was granted more than once: not judged"));
            return;
        }
        self.judge_ttl(id, report);
        if let Some((time, by)) = self.gone {
            self.judge_end(id, time, by, report);
        }
    }

    fn judge_ttl(&self, id: i64, report: &mut Report) {
        let grant = &self.grants[0];
        for (granted, left, operation) in &self.told {
            let wrong = grant.acknowledged && *granted != grant.ttl;
            if wrong || left > granted || *left < 0 {
                let text = format!(
                    "lease {id} of {} s: told {left} s left of {granted} s",
                    grant.ttl
                );
                report.found(Anomaly::new(AnomalyKind::LeaseTtl, text).op(*operation));
            }
        }
    }

    fn judge_end(&self, id: i64, time: u64, by: u64, report: &mut Report) {
        let revoked = self.revoked_from.is_some_and(|from| from <= time);
        // A promise whose operation began after the end would be a resurrection.
        let broken = self
            .promises
            .iter()
            .filter(|(until, call, _, _)| *until > time && *call <= time)
            .max();
        if let (false, Some((until, _, _, promise))) = (revoked, broken) {
            let early = (until - time) / 1_000_000;
            let text = format!("lease {id} ended at least {early} ms before its time");
            report.found(
                Anomaly::new(AnomalyKind::LeaseEarly, text)
                    .op(*promise)
                    .op(by),
            );
        }
        for (call, operation, what) in &self.alive {
            if *call > time {
                let text = format!("{what} found lease {id} alive after its end");
                report.found(
                    Anomaly::new(AnomalyKind::LeaseResurrected, text)
                        .op(by)
                        .op(*operation),
                );
            }
        }
    }
}
