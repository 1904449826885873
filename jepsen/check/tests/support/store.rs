//! A correct store: simple, whole snapshots of everything.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_check::history::{
    Answer, Blob, Cmp, Compare, Event, EventKind, FailureKind, KeyValue, Op, RangeOp, Target,
};

type Pairs = BTreeMap<Blob, KeyValue>;

#[derive(Debug, Default)]
pub struct Store {
    pub revision: i64,
    pub compacted: i64,
    /// Pairs just after each revision that may still be read.
    snapshots: BTreeMap<i64, Pairs>,
    /// Events by revision, from revision 2 on.
    pub log: Vec<Vec<Event>>,
    pub leases: BTreeMap<i64, Lease>,
}

#[derive(Debug, Clone)]
pub struct Lease {
    pub ttl: i64,
    pub deadline: u64,
}

/// Snapshots kept for reads of the past.
const KEPT: i64 = 60;

impl Store {
    pub fn new() -> Self {
        Self {
            revision: 1,
            snapshots: BTreeMap::from([(1, Pairs::new())]),
            ..Self::default()
        }
    }

    pub fn oldest(&self) -> i64 {
        *self.snapshots.keys().next().unwrap()
    }

    pub fn now(&self) -> &Pairs {
        &self.snapshots[&self.revision]
    }

    pub fn run(&mut self, op: &Op, time: u64) -> Result<Answer, FailureKind> {
        match op {
            Op::Range(range) if range.revision > self.revision => Err(FailureKind::FutureRevision),
            Op::Range(range) if range.revision > 0 && range.revision < self.compacted => {
                Err(FailureKind::Compacted)
            }
            // Too old for this store; a request that is refused had no effect.
            Op::Range(range) if range.revision > 0 => self
                .snapshots
                .get(&range.revision)
                .map(|pairs| select(pairs, range))
                .ok_or(FailureKind::Other),
            Op::Range(range) => Ok(select(self.now(), range)),
            Op::Compact { revision } if *revision > self.revision => {
                Err(FailureKind::FutureRevision)
            }
            Op::Compact { revision } if *revision <= self.compacted => Err(FailureKind::Compacted),
            Op::Compact { revision } => {
                self.compacted = *revision;
                Ok(Answer::Compact)
            }
            Op::LeaseGrant(_) | Op::LeaseKeepAlive { .. } | Op::LeaseTtl { .. } => {
                self.lease(op, time)
            }
            Op::LeaseRevoke { lease } => {
                if self.leases.remove(lease).is_none() {
                    return Err(FailureKind::LeaseNotFound);
                }
                self.drop_keys(*lease);
                Ok(Answer::LeaseRevoke)
            }
            Op::HashKv { .. } => Ok(Answer::HashKv {
                hash: u32::try_from(self.revision).unwrap(),
                hash_revision: self.revision,
                compact_revision: self.compacted,
            }),
            _ => self.write(op),
        }
    }

    fn lease(&mut self, op: &Op, time: u64) -> Result<Answer, FailureKind> {
        let nanos = |ttl: i64| u64::try_from(ttl).unwrap() * 1_000_000_000;
        match op {
            Op::LeaseGrant(grant) => {
                let lease = Lease {
                    ttl: grant.ttl,
                    deadline: time + nanos(grant.ttl),
                };
                self.leases.insert(grant.lease, lease);
                Ok(Answer::LeaseGrant {
                    lease: grant.lease,
                    ttl: grant.ttl,
                })
            }
            Op::LeaseKeepAlive { lease } => {
                let lease = self
                    .leases
                    .get_mut(lease)
                    .ok_or(FailureKind::LeaseNotFound)?;
                lease.deadline = time + nanos(lease.ttl);
                Ok(Answer::LeaseKeepAlive { ttl: lease.ttl })
            }
            Op::LeaseTtl { lease, .. } => Ok(match self.leases.get(lease) {
                Some(lease) => Answer::LeaseTtl {
                    ttl: i64::try_from(lease.deadline.saturating_sub(time) / 1_000_000_000)
                        .unwrap(),
                    granted_ttl: lease.ttl,
                    keys: Vec::new(),
                },
                None => Answer::LeaseTtl {
                    ttl: -1,
                    granted_ttl: 0,
                    keys: Vec::new(),
                },
            }),
            _ => unreachable!("only leases come here"),
        }
    }

    /// Ends what is over.
    pub fn expire(&mut self, time: u64) {
        let over: Vec<i64> = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.deadline <= time)
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.leases.remove(&id);
            self.drop_keys(id);
        }
    }

    fn drop_keys(&mut self, lease: i64) {
        let mut pairs = self.now().clone();
        let mut events = Vec::new();
        let keys: Vec<Blob> = pairs
            .values()
            .filter(|kv| kv.lease == lease)
            .map(|kv| kv.key.clone())
            .collect();
        for key in keys {
            remove(&mut pairs, &key, self.revision + 1, &mut events);
        }
        self.commit(pairs, events);
    }

    fn write(&mut self, op: &Op) -> Result<Answer, FailureKind> {
        let mut wanted = BTreeSet::new();
        leases_of(op, &mut wanted);
        if wanted.iter().any(|lease| !self.leases.contains_key(lease)) {
            return Err(FailureKind::LeaseNotFound);
        }
        let mut pairs = self.now().clone();
        let mut events = Vec::new();
        let answer = step(op, &mut pairs, self.revision + 1, &mut events);
        self.commit(pairs, events);
        Ok(answer)
    }

    fn commit(&mut self, pairs: Pairs, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        self.revision += 1;
        self.snapshots.insert(self.revision, pairs);
        self.snapshots = self.snapshots.split_off(&(self.revision - KEPT));
        self.log.push(events);
    }

    pub fn events_at(&self, revision: i64) -> &[Event] {
        &self.log[usize::try_from(revision - 2).unwrap()]
    }

    /// What a member that lags behind answers.
    pub fn run_at(&self, range: &RangeOp, revision: i64) -> Answer {
        select(&self.snapshots[&revision], range)
    }
}

fn leases_of(op: &Op, into: &mut BTreeSet<i64>) {
    match op {
        Op::Put(put) if put.lease != 0 => {
            into.insert(put.lease);
        }
        Op::Txn(txn) => txn
            .then
            .iter()
            .chain(&txn.otherwise)
            .for_each(|op| leases_of(op, into)),
        _ => {}
    }
}

fn within(key: &Blob, end: &Blob, wanted: &Blob) -> bool {
    if end.is_empty() {
        key == wanted
    } else {
        key <= wanted && (**end == [0] || wanted < end)
    }
}

fn select(pairs: &Pairs, range: &RangeOp) -> Answer {
    let found: Vec<&KeyValue> = pairs
        .values()
        .filter(|kv| within(&range.key, &range.end, &kv.key))
        .collect();
    let count = i64::try_from(found.len()).unwrap();
    let mut kvs: Vec<KeyValue> = found.into_iter().cloned().collect();
    let limited = range.limit > 0 && count > range.limit;
    if limited {
        kvs.truncate(usize::try_from(range.limit).unwrap());
    }
    if range.keys_only {
        kvs.iter_mut().for_each(|kv| kv.value = Blob::default());
    }
    if range.count_only {
        kvs.clear();
    }
    Answer::Range {
        kvs,
        count,
        more: limited && !range.count_only,
    }
}

fn remove(pairs: &mut Pairs, key: &Blob, revision: i64, events: &mut Vec<Event>) -> KeyValue {
    let old = pairs.remove(key).unwrap();
    events.push(Event {
        kind: EventKind::Delete,
        kv: KeyValue {
            key: key.clone(),
            modified: revision,
            ..KeyValue::default()
        },
        prev_kv: Some(old.clone()),
    });
    old
}

fn step(op: &Op, pairs: &mut Pairs, revision: i64, events: &mut Vec<Event>) -> Answer {
    match op {
        Op::Range(range) => select(pairs, range),
        Op::Put(put) => {
            let old = pairs.get(&put.key).cloned();
            let kv = KeyValue {
                key: put.key.clone(),
                value: put.value.clone(),
                create: old.as_ref().map_or(revision, |old| old.create),
                modified: revision,
                version: old.as_ref().map_or(1, |old| old.version + 1),
                lease: put.lease,
            };
            pairs.insert(put.key.clone(), kv.clone());
            events.push(Event {
                kind: EventKind::Put,
                kv,
                prev_kv: old.clone(),
            });
            Answer::Put {
                prev_kv: old.filter(|_| put.prev_kv),
            }
        }
        Op::Delete(delete) => {
            let keys: Vec<Blob> = pairs
                .keys()
                .filter(|key| within(&delete.key, &delete.end, key))
                .cloned()
                .collect();
            let old: Vec<_> = keys
                .iter()
                .map(|key| remove(pairs, key, revision, events))
                .collect();
            Answer::Delete {
                deleted: i64::try_from(old.len()).unwrap(),
                prev_kvs: if delete.prev_kv { old } else { Vec::new() },
            }
        }
        Op::Txn(txn) => {
            let succeeded = txn.compares.iter().all(|compare| holds(compare, pairs));
            let steps = if succeeded { &txn.then } else { &txn.otherwise };
            let responses = steps
                .iter()
                .map(|op| step(op, pairs, revision, events))
                .collect();
            Answer::Txn {
                succeeded,
                responses,
            }
        }
        _ => unreachable!("not about pairs"),
    }
}

fn holds(compare: &Compare, pairs: &Pairs) -> bool {
    let none = KeyValue::default();
    let kv = pairs.get(&compare.key);
    let or_none = kv.unwrap_or(&none);
    let number = match &compare.target {
        Target::Version(n) => or_none.version - n,
        Target::Create(n) => or_none.create - n,
        Target::Mod(n) => or_none.modified - n,
        Target::Lease(n) => or_none.lease - n,
        Target::Value(value) => match kv {
            None => return false,
            Some(kv) => kv.value.cmp(value) as i64,
        },
    };
    match compare.cmp {
        Cmp::Equal => number == 0,
        Cmp::NotEqual => number != 0,
        Cmp::Less => number < 0,
        Cmp::Greater => number > 0,
    }
}
