//! Random histories with changes of leader, against the promise made to clients: a lease lives at least until its
//! last acknowledged renewal plus its TTL, and not much longer.

use std::collections::BTreeMap;

use mainstay_lease::{Checkpoint, Lessor, Record};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Advance(u64),
    Grant(i64, i64),
    Revoke(i64),
    /// Renew; whether a needed reset reaches the log.
    Renew(i64, bool),
    /// Hand out checkpoints; how many of them wait in the log.
    Checkpoint(usize),
    /// The log moves on by so many entries.
    Apply(usize),
    /// Another member leads; clean or not; a proposal in the log may be lost with the old leader.
    Change {
        clean: bool,
        lose: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let id = 1..6_i64;
    prop_oneof![
        6 => (1..4_000_u64).prop_map(Op::Advance),
        3 => (id.clone(), 0..40_i64).prop_map(|(id, ttl)| Op::Grant(id, ttl)),
        1 => id.clone().prop_map(Op::Revoke),
        5 => (id, any::<bool>()).prop_map(|(id, reached)| Op::Renew(id, reached)),
        4 => (0..6_usize).prop_map(Op::Checkpoint),
        5 => (1..6_usize).prop_map(Op::Apply),
        2 => (any::<bool>(), 0..4_usize).prop_map(|(clean, lose)| Op::Change { clean, lose }),
    ]
}

/// What the client of a lease believes.
#[derive(Clone, Copy, Debug)]
struct Promise {
    ttl_ms: u64,
    /// Earliest permitted expiry: last acknowledged renewal plus TTL.
    not_before: u64,
    /// Latest permitted expiry if leaders are prompt: last renewal, acknowledged or not, plus TTL plus what
    /// changes of leader may add.
    not_after: u64,
}

struct World {
    now: u64,
    lessor: Lessor,
    /// Records as storage holds them.
    stored: BTreeMap<i64, Record>,
    log: Vec<(Checkpoint, Option<(i64, u64)>)>,
    promises: BTreeMap<i64, Promise>,
    prompt: bool,
}

impl World {
    fn apply(&mut self, count: usize) {
        for _ in 0..count.min(self.log.len()) {
            let (checkpoint, acknowledges) = self.log.remove(0);
            if let Some(record) = self.lessor.checkpoint(checkpoint) {
                self.stored.insert(checkpoint.id, record);
            }
            if let Some((id, until)) = acknowledges
                && let Some(promise) = self.promises.get_mut(&id)
            {
                promise.not_before = promise.not_before.max(until);
            }
        }
    }

    fn expire(&mut self) {
        for id in self.lessor.due_expired(self.now, 100) {
            let promise = self.promises[&id];
            assert!(
                self.now >= promise.not_before,
                "lease {id} expired early: {promise:?}"
            );
            self.drop_lease(id);
        }
        if self.prompt {
            for (id, promise) in &self.promises {
                assert!(
                    self.now < promise.not_after,
                    "lease {id} lives too long: {promise:?}"
                );
            }
        }
    }

    fn drop_lease(&mut self, id: i64) {
        self.lessor.revoke(id).expect("the lease exists");
        self.promises.remove(&id);
        self.stored.remove(&id);
        // A later lease of the same id starts with an empty log in this model; stale entries name the old one.
        self.log.retain(|(c, _)| c.id != id);
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Advance(ms) => {
                self.now += ms;
                self.expire();
                if self.prompt {
                    let due = self.lessor.due_checkpoints(self.now, 100);
                    self.log.extend(due.into_iter().map(|c| (c, None)));
                    self.apply(usize::MAX);
                }
            }
            Op::Grant(id, ttl) => match self.lessor.grant(id, ttl, self.now) {
                Ok(record) => {
                    let until = self.now + record.ttl_ms();
                    let promise = Promise {
                        ttl_ms: record.ttl_ms(),
                        not_before: until,
                        not_after: until + 1,
                    };
                    // Time moves in steps of up to 4 s, and expiry is looked at once per step.
                    let promise = Promise {
                        not_after: promise.not_after + 4_000,
                        ..promise
                    };
                    self.promises.insert(id, promise);
                    self.stored.insert(id, record);
                }
                Err(_) => assert!(self.promises.contains_key(&id)),
            },
            Op::Revoke(id) => {
                if self.promises.contains_key(&id) {
                    self.drop_lease(id);
                }
            }
            Op::Renew(id, reached) => {
                let Ok(renewal) = self.lessor.renew(id, self.now) else {
                    return;
                };
                let promise = self.promises.get_mut(&id).expect("a promise per lease");
                let until = self.now + promise.ttl_ms;
                promise.not_after = until + 4_001;
                if !renewal.needs_reset {
                    promise.not_before = promise.not_before.max(until);
                } else if reached {
                    self.log.push((
                        Checkpoint {
                            id,
                            remaining_ms: 0,
                        },
                        Some((id, until)),
                    ));
                }
            }
            Op::Checkpoint(max) => {
                let due = self.lessor.due_checkpoints(self.now, max);
                assert!(due.len() <= max);
                self.log.extend(due.into_iter().map(|c| (c, None)));
            }
            Op::Apply(count) => self.apply(count),
            Op::Change { clean, lose } => self.change(clean, lose),
        }
    }

    fn change(&mut self, clean: bool, lose: usize) {
        if clean {
            let all = self.lessor.checkpoint_all(self.now);
            self.log.extend(all.into_iter().map(|c| (c, None)));
        } else if !self.prompt {
            self.log.truncate(self.log.len().saturating_sub(lose));
        }
        self.lessor.demote();
        self.apply(usize::MAX);
        // The successor has only what is stored, and a clock of its own would do as well.
        let mut next = Lessor::new(2);
        let reread = |r: &Record| Record::decode(&r.encode()).expect("own encoding");
        next.load(self.stored.iter().map(|(&id, r)| (id, reread(r))));
        next.promote(self.now);
        self.lessor = next;
        for promise in self.promises.values_mut() {
            let added = if clean {
                1
            } else {
                (promise.ttl_ms / 10).max(1_000) + 4_000
            };
            promise.not_after += added;
        }
    }
}

fn run(prompt: bool, ops: Vec<Op>) {
    let mut world = World {
        now: 10_000,
        lessor: Lessor::new(2),
        stored: BTreeMap::new(),
        log: Vec::new(),
        promises: BTreeMap::new(),
        prompt,
    };
    world.lessor.promote(world.now);
    for op in ops {
        world.step(op);
        assert_eq!(world.lessor.len(), world.promises.len());
        for (&id, record) in &world.stored {
            assert_eq!(
                world.lessor.record(id),
                Some(*record),
                "storage and memory agree"
            );
        }
    }
    // Everything expires in the end.
    world.prompt = false;
    world.log.clear();
    world.now += 1_000_000;
    world.expire();
    assert!(world.lessor.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is delayed or lost, no lease expires before what its client was told.
    #[test]
    fn never_early(ops in prop::collection::vec(op(), 1..120)) {
        run(false, ops);
    }

    /// With a log that works, changes of leader add no more than the granularity each.
    #[test]
    fn never_much_later(ops in prop::collection::vec(op(), 1..120)) {
        run(true, ops);
    }
}
