//! Concurrent clients and watchers of the simulated store, on a clock of their own.

mod workloads;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use mainstay_check::History;
use mainstay_check::history::{
    Blob, Cmp, Compare, DeleteOp, Event, EventKind, Failure, FailureKind, Filter, GrantOp,
    MemberFacts, Op, OpResult, Operation, Outcome, PutOp, RangeOp, Target, TxnOp, WatchNews,
    WatchRecord, WatchRequest,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::build;
use super::store::Store;

#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub operations: usize,
    pub clients: u32,
    pub keys: u32,
    pub watches: usize,
    /// Of a hundred.
    pub unknown: u32,
    pub failed: u32,
    /// One watcher of everything from the start on.
    pub full_watch: bool,
    /// No transactions, leases and ranges: what WGL judges alone.
    pub registers_only: bool,
    /// Sets, lists and registers in place of everything else.
    pub workloads: bool,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            operations: 300,
            clients: 6,
            keys: 6,
            watches: 6,
            unknown: 5,
            failed: 2,
            full_watch: true,
            registers_only: false,
            workloads: false,
        }
    }
}

enum Happening {
    Call { client: u32 },
    Effect { operation: usize },
    Return { operation: usize },
    Watch { watch: usize },
}

struct Watch {
    request: Box<WatchRequest>,
    created: bool,
    next: i64,
    done: bool,
}

struct World {
    plan: Plan,
    rng: StdRng,
    store: Store,
    history: History,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    ticket: u64,
    next_client: u32,
    next_lease: i64,
    seen: BTreeMap<Blob, i64>,
    watches: Vec<Watch>,
    now: u64,
}

/// The history of a run, valid by construction.
pub fn simulate(plan: Plan) -> History {
    let mut world = World {
        rng: StdRng::seed_from_u64(plan.seed),
        store: Store::new(),
        history: History::default(),
        queue: BinaryHeap::new(),
        happenings: BTreeMap::new(),
        ticket: 0,
        next_client: plan.clients,
        next_lease: 1,
        seen: BTreeMap::new(),
        watches: Vec::new(),
        now: 0,
        plan,
    };
    world.run();
    world.history
}

impl World {
    fn at(&mut self, time: u64, happening: Happening) {
        self.ticket += 1;
        self.queue.push(Reverse((time, self.ticket)));
        self.happenings.insert(self.ticket, happening);
    }

    fn soon(&mut self) -> u64 {
        self.now + self.rng.random_range(1..40_000_000)
    }

    fn run(&mut self) {
        if self.plan.workloads {
            self.history.run = workloads::run_info();
        }
        for client in 0..self.plan.clients {
            let time = self.soon();
            self.at(time, Happening::Call { client });
        }
        self.open_watches();
        while let Some(Reverse((time, ticket))) = self.queue.pop() {
            self.now = time;
            self.store.expire(time);
            match self.happenings.remove(&ticket).unwrap() {
                Happening::Call { client } => self.call(client),
                Happening::Effect { operation } => self.effect(operation),
                Happening::Return { operation } => self.finish(operation),
                Happening::Watch { watch } => self.watch(watch),
            }
        }
        self.end();
    }

    fn call(&mut self, client: u32) {
        if self.history.operations.len() >= self.plan.operations {
            return;
        }
        let op = self.choose();
        let index = self.history.operations.len();
        self.history.operations.push(Operation {
            client,
            member: client % 3 + 1,
            id: u64::try_from(index).unwrap(),
            op,
            call: self.now,
            returned: None,
            outcome: Outcome::Unknown,
            result: None,
            error: None,
        });
        let time = self.soon();
        self.at(time, Happening::Effect { operation: index });
    }

    fn effect(&mut self, index: usize) {
        let operation = &self.history.operations[index];
        let op = operation.op.clone();
        let dice = self.rng.random_range(0..100);
        if operation.error.is_some() {
            // The late effect of an unknown outcome.
            let _ = self.store.run(&op, self.now);
            return;
        }
        if dice < self.plan.unknown {
            self.lose(index, &op);
        } else if dice < self.plan.unknown + self.plan.failed {
            self.fail(index, FailureKind::Unavailable);
        } else {
            self.answer(index, &op);
        }
        let time = self.soon();
        self.at(time, Happening::Return { operation: index });
    }

    fn fail(&mut self, index: usize, kind: FailureKind) {
        let operation = &mut self.history.operations[index];
        operation.outcome = Outcome::Fail;
        operation.error = Some(Failure {
            kind,
            text: String::new(),
        });
    }

    /// The outcome is unknown: it happens now, much later, or never.
    fn lose(&mut self, index: usize, op: &Op) {
        self.history.operations[index].error = Some(Failure::from_text("timed out"));
        match self.rng.random_range(0..3) {
            0 => {
                let _ = self.store.run(op, self.now);
            }
            1 => {
                let time = self.now + self.rng.random_range(1..800_000_000);
                self.at(time, Happening::Effect { operation: index });
            }
            _ => {}
        }
    }

    fn answer(&mut self, index: usize, op: &Op) {
        if let Op::Range(range) = op
            && range.serializable
            && range.revision == 0
        {
            let revision = self
                .rng
                .random_range(self.store.oldest()..=self.store.revision);
            let answer = self.store.run_at(range, revision);
            self.succeed(index, OpResult { revision, answer });
            return;
        }
        match self.store.run(op, self.now) {
            Ok(answer) => {
                let revision = self.store.revision;
                self.succeed(index, OpResult { revision, answer });
            }
            Err(kind) => self.fail(index, kind),
        }
    }

    fn succeed(&mut self, index: usize, result: OpResult) {
        let operation = &mut self.history.operations[index];
        operation.outcome = Outcome::Ok;
        operation.result = Some(result);
        for kv in self.store.now().values() {
            self.seen.insert(kv.key.clone(), kv.modified);
        }
    }

    fn finish(&mut self, index: usize) {
        let operation = &mut self.history.operations[index];
        let mut client = operation.client;
        operation.returned = Some(self.now);
        if operation.outcome == Outcome::Unknown {
            client = self.next_client;
            self.next_client += 1;
        }
        let time = self.soon();
        self.at(time, Happening::Call { client });
    }

    fn key(&mut self) -> Blob {
        format!("k{:03}", self.rng.random_range(0..self.plan.keys)).into()
    }

    fn value(&mut self) -> Blob {
        format!("v{}", self.history.operations.len()).into()
    }

    fn put(&mut self) -> PutOp {
        let lease = if !self.plan.registers_only && self.rng.random_ratio(1, 6) {
            self.lease()
        } else {
            0
        };
        PutOp {
            key: self.key(),
            value: self.value(),
            lease,
            prev_kv: self.rng.random(),
        }
    }

    fn lease(&mut self) -> i64 {
        let known: Vec<i64> = self.store.leases.keys().copied().collect();
        match known.len() {
            0 => 0,
            len => known[self.rng.random_range(0..len)],
        }
    }

    fn span(&mut self) -> (Blob, Blob) {
        match self.rng.random_range(0..3) {
            0 => (self.key(), Blob::default()),
            1 => (self.key(), vec![0].into()),
            _ => (self.key(), self.key()),
        }
    }

    fn choose(&mut self) -> Op {
        if self.plan.workloads {
            return self.choose_workload();
        }
        let kinds = if self.plan.registers_only { 60 } else { 100 };
        match self.rng.random_range(0..kinds) {
            0..30 => Op::Put(self.put()),
            30..45 => Op::Range(RangeOp {
                key: self.key(),
                ..RangeOp::default()
            }),
            45..50 => Op::Delete(DeleteOp {
                key: self.key(),
                prev_kv: self.rng.random(),
                ..DeleteOp::default()
            }),
            50..60 => {
                let key = self.key();
                let modified = self.seen.get(&key).copied().unwrap_or(0);
                let value = self.value();
                build::cas(key.as_text().unwrap(), modified, value.as_text().unwrap())
            }
            60..72 => self.wide_range(),
            72..74 => {
                let (key, end) = self.span();
                Op::Delete(DeleteOp {
                    key,
                    end,
                    prev_kv: self.rng.random(),
                })
            }
            74..84 => self.txn(),
            84..87 => Op::Compact {
                revision: (self.store.revision + self.rng.random_range(-20..4)).max(1),
            },
            87..91 => {
                self.next_lease += 1;
                Op::LeaseGrant(GrantOp {
                    lease: self.next_lease,
                    ttl: self.rng.random_range(1..4),
                })
            }
            91..95 => Op::LeaseKeepAlive {
                lease: self.rng.random_range(1..=self.next_lease),
            },
            95..97 => Op::LeaseRevoke {
                lease: self.rng.random_range(1..=self.next_lease),
            },
            97..99 => Op::LeaseTtl {
                lease: self.rng.random_range(1..=self.next_lease),
                keys: false,
            },
            _ => Op::HashKv { revision: 0 },
        }
    }

    fn wide_range(&mut self) -> Op {
        let (key, end) = self.span();
        let oldest = self.store.oldest();
        let past = self.rng.random_ratio(1, 3) && self.store.revision - oldest > 30;
        let revision = if past {
            // Far enough from the oldest snapshot to be there still when the request arrives.
            self.store.revision + self.rng.random_range(-25..3)
        } else {
            0
        };
        Op::Range(RangeOp {
            key,
            end,
            limit: self.rng.random_range(0..4),
            revision,
            serializable: !past && self.rng.random_ratio(1, 3),
            keys_only: self.rng.random_ratio(1, 5),
            count_only: self.rng.random_ratio(1, 8),
        })
    }

    fn txn(&mut self) -> Op {
        let (a, b) = (self.key(), self.key());
        let target = match self.rng.random_range(0..4) {
            0 => Target::Mod(self.seen.get(&a).copied().unwrap_or(0)),
            1 => Target::Version(self.rng.random_range(0..3)),
            2 => Target::Value(format!("v{}", self.rng.random_range(0..300)).into()),
            _ => Target::Create(0),
        };
        let cmp = match self.rng.random_range(0..4) {
            0 => Cmp::NotEqual,
            1 => Cmp::Greater,
            2 => Cmp::Less,
            _ => Cmp::Equal,
        };
        let mut then = vec![Op::Put(PutOp {
            key: a.clone(),
            ..self.put()
        })];
        if a != b {
            then.push(Op::Delete(DeleteOp {
                key: b.clone(),
                end: Blob::default(),
                prev_kv: true,
            }));
        }
        then.push(build::list());
        let mut otherwise = vec![build::get(b.as_text().unwrap())];
        if self.rng.random() {
            otherwise.push(Op::Put(self.put()));
        }
        Op::Txn(TxnOp {
            compares: vec![Compare {
                key: a,
                end: Blob::default(),
                target,
                cmp,
            }],
            then,
            otherwise,
        })
    }

    fn open_watches(&mut self) {
        if self.plan.full_watch {
            self.watches.push(Watch {
                request: Box::new(WatchRequest {
                    key: vec![0].into(),
                    end: vec![0].into(),
                    start_revision: 1,
                    prev_kv: true,
                    ..WatchRequest::default()
                }),
                created: false,
                next: 1,
                done: false,
            });
            self.at(1, Happening::Watch { watch: 0 });
        }
        let span = 12_000_000 * u64::try_from(self.plan.operations).unwrap();
        for _ in 0..self.plan.watches {
            let (key, end) = self.span();
            let filters = match self.rng.random_range(0..6) {
                0 => vec![Filter::NoPut],
                1 => vec![Filter::NoDelete],
                _ => Vec::new(),
            };
            self.watches.push(Watch {
                request: Box::new(WatchRequest {
                    key,
                    end,
                    start_revision: 0,
                    prev_kv: self.rng.random(),
                    progress: self.rng.random(),
                    filters,
                }),
                created: false,
                next: 0,
                done: false,
            });
            let time = self.rng.random_range(1..span);
            let watch = self.watches.len() - 1;
            self.at(time, Happening::Watch { watch });
        }
    }

    fn record(&mut self, index: usize, news: WatchNews, with_request: bool) {
        let watch = &self.watches[index];
        self.history.watches.push(WatchRecord {
            watch: u64::try_from(index).unwrap(),
            client: 10_000 + u32::try_from(index).unwrap(),
            member: 1,
            request: with_request.then(|| watch.request.clone()),
            time: self.now,
            header_revision: self.store.revision,
            news,
        });
    }

    fn watch(&mut self, index: usize) {
        if !self.watches[index].created {
            self.create(index);
        } else if !self.watches[index].done {
            self.deliver(index);
        }
        let more = self.history.operations.len() < self.plan.operations;
        if more && !self.watches[index].done {
            let time = self.now + self.rng.random_range(1..160_000_000);
            self.at(time, Happening::Watch { watch: index });
        }
    }

    fn create(&mut self, index: usize) {
        let revision = self.store.revision;
        let start = match self.rng.random_range(0..4) {
            _ if index == 0 && self.plan.full_watch => 1,
            0 => (revision - self.rng.random_range(0..50)).max(1),
            1 => revision + self.rng.random_range(1..20),
            _ => 0,
        };
        let watch = &mut self.watches[index];
        watch.created = true;
        watch.request.start_revision = start;
        watch.next = if start == 0 { revision + 1 } else { start };
        self.record(index, WatchNews::Created, true);
    }

    fn deliver(&mut self, index: usize) {
        // The full watch is never too late: what it needs is in memory.
        let full = index == 0 && self.plan.full_watch;
        let compacted = self.store.compacted;
        if !full && self.watches[index].next < compacted {
            self.watches[index].done = true;
            let news = WatchNews::Canceled {
                reason: "compacted".into(),
                compact_revision: compacted,
            };
            self.record(index, news, false);
            return;
        }
        let from = self.watches[index].next.max(2);
        let to = if self.rng.random() {
            self.store.revision
        } else {
            (from + 2).min(self.store.revision)
        };
        let request = &self.watches[index].request;
        let events: Vec<Event> = (from..=to)
            .flat_map(|revision| self.store.events_at(revision))
            .filter(|event| wanted(request, event))
            .map(|event| Event {
                prev_kv: event.prev_kv.clone().filter(|_| request.prev_kv),
                ..event.clone()
            })
            .collect();
        self.watches[index].next = self.watches[index].next.max(to + 1);
        if !events.is_empty() {
            self.record(index, WatchNews::Events(events), false);
        }
        let level = self.watches[index].next == self.store.revision + 1;
        if level && self.watches[index].request.progress && self.rng.random_ratio(1, 4) {
            self.record(index, WatchNews::Progress, false);
        }
    }

    fn end(&mut self) {
        self.now += 1_000_000;
        for index in 0..self.watches.len() {
            let watch = &self.watches[index];
            if watch.created && !watch.done {
                self.deliver(index);
            }
        }
        for member in 1..=3 {
            self.history.members.push(MemberFacts {
                member,
                revision: self.store.revision,
                hash: 7,
                compact_revision: self.store.compacted,
            });
        }
        let answer = self.store.run(&build::list(), self.now).unwrap();
        let id = u64::try_from(self.history.operations.len()).unwrap();
        let mut last = build::ok(
            self.next_client,
            self.now + 1,
            self.now + 2,
            build::list(),
            self.store.revision,
            answer,
        );
        last.id = id;
        self.history.operations.push(last);
    }
}

fn wanted(request: &WatchRequest, event: &Event) -> bool {
    let unwanted = match event.kind {
        EventKind::Put => Filter::NoPut,
        EventKind::Delete => Filter::NoDelete,
    };
    let key = &event.kv.key;
    let within = if request.end.is_empty() {
        *key == request.key
    } else {
        *key >= request.key && (*request.end == [0] || *key < request.end)
    };
    within && !request.filters.contains(&unwanted)
}
