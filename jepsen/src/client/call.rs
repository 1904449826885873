//! A client: performs operations and records them.

use super::outcome::Failure;
use super::{Journal, Load, answer, request};
use crate::limits::PAUSE_AFTER_FAILURE;
use mainstay_check::history::RangeOp;
use mainstay_check::history::{self, Answer, Blob, FailureKind, Op, OpResult, Operation, Outcome};
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::Raw;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;

/// What all clients of a run share.
#[derive(Debug)]
pub struct Shared {
    /// Where everything is recorded.
    pub journal: Journal,
    /// When to act.
    pub load: Load,
    /// Client URL of each member.
    pub urls: Vec<String>,
    /// After this the outcome of a call is unknown.
    pub deadline: Duration,
    /// The run's seed.
    pub seed: u64,
    /// Whether the server answers manual progress requests in order with events (etcd 3.4 does not).
    pub progress: bool,
    numbers: AtomicU32,
    operations: AtomicU64,
    watches: AtomicU64,
    revision: AtomicI64,
}

impl Shared {
    /// No client yet.
    pub fn new(
        journal: Journal,
        load: Load,
        urls: Vec<String>,
        deadline: Duration,
        seed: u64,
    ) -> Self {
        Self {
            journal,
            load,
            urls,
            deadline,
            seed,
            progress: true,
            numbers: AtomicU32::new(0),
            operations: AtomicU64::new(0),
            watches: AtomicU64::new(0),
            revision: AtomicI64::new(1),
        }
    }

    /// The highest revision any client has seen in an answer. A hint for choosing revisions, nothing more.
    pub fn revision(&self) -> i64 {
        self.revision.load(Ordering::Relaxed)
    }

    pub(super) fn saw(&self, revision: i64) {
        self.revision.fetch_max(revision, Ordering::Relaxed);
    }

    pub(super) fn watch_number(&self) -> u64 {
        self.watches.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn client_number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// What came of an operation.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The answer.
    Ok(OpResult),
    /// Certainly had no effect.
    Fail(Failure),
    /// Nobody can know.
    Unknown(Failure),
}

impl Reply {
    /// The answer, if there is one.
    pub fn ok(self) -> Option<OpResult> {
        match self {
            Self::Ok(result) => Some(result),
            Self::Fail(_) | Self::Unknown(_) => None,
        }
    }
}

/// A client of one member.
#[derive(Debug)]
pub struct Client {
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    /// Its place among the clients of the run, from 0; never changes.
    pub slot: usize,
    /// The member it talks to, from 0.
    pub member: usize,
    /// Its own source of chance.
    pub rng: StdRng,
    pub(super) raw: Raw,
    number: u32,
    unique: u64,
    last_turn: Instant,
}

impl Client {
    /// A client with a connection of its own, made when it is first used.
    pub fn new(shared: &Arc<Shared>, slot: usize, member: usize) -> Self {
        let seed = shared.seed ^ (slot as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            slot,
            member,
            rng: StdRng::seed_from_u64(seed),
            raw: Raw::connect(&shared.urls[member], None).with_deadline(shared.deadline),
            number: shared.client_number(),
            unique: 0,
            last_turn: Instant::now(),
            shared: shared.clone(),
        }
    }

    /// Waits for its turn; `false` when the load has ended.
    pub async fn turn(&mut self) -> bool {
        let load = self.shared.load.clone();
        load.turn(&mut self.last_turn, &mut self.rng).await
    }

    /// A text no client of this run has written before.
    pub fn unique(&mut self) -> String {
        self.unique += 1;
        format!("{}.{}", self.slot, self.unique)
    }

    /// A number no client of this run has written before.
    pub fn unique_number(&mut self) -> u64 {
        self.unique += 1;
        (self.slot as u64 + 1) * 10_000_000 + self.unique
    }

    /// The member's number in the history.
    pub fn member_number(&self) -> u32 {
        u32::try_from(self.member).expect("there are few members")
    }

    /// The current client number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Performs an operation once and records it, whatever comes of it.
    pub async fn perform(&mut self, op: Op) -> Reply {
        let id = self.shared.operations.fetch_add(1, Ordering::Relaxed);
        let clock = self.shared.journal.clock;
        let call = clock.now();
        // The raw client has its own deadline for unary calls; streams need this one.
        let answer = timeout(self.shared.deadline, self.send(&op)).await;
        let returned = clock.now();
        let reply = judge(
            &op,
            answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("request timed out"))),
        );
        let (outcome, result, failure) = match &reply {
            Reply::Ok(result) => (Outcome::Ok, Some(result.clone()), None),
            Reply::Fail(failure) => (Outcome::Fail, None, Some(failure)),
            Reply::Unknown(failure) => (Outcome::Unknown, None, Some(failure)),
        };
        let record = Operation {
            client: self.number,
            member: self.member_number(),
            id,
            op,
            call,
            returned: (outcome != Outcome::Unknown).then_some(returned),
            outcome,
            result,
            error: failure.map(recorded),
        };
        self.shared.journal.operation(record, failure).await;
        match &reply {
            Reply::Ok(result) => self.shared.saw(result.revision),
            Reply::Unknown(_) => self.number = self.shared.client_number(),
            Reply::Fail(_) => {}
        }
        if reply_asks_for_a_pause(&reply) {
            sleep(PAUSE_AFTER_FAILURE).await;
        }
        reply
    }

    /// One key.
    pub async fn get(&mut self, key: &str, serializable: bool) -> Reply {
        let key = Blob::from(key);
        self.perform(Op::Range(RangeOp {
            key,
            serializable,
            ..Default::default()
        }))
        .await
    }

    async fn send(&self, op: &Op) -> Result<OpResult, Status> {
        let raw = &self.raw;
        match op {
            Op::Range(op) => answer::range(raw.range(request::range(op)).await?),
            Op::Put(op) => answer::put(raw.put(request::put(op)).await?),
            Op::Delete(op) => answer::delete(raw.delete_range(request::delete(op)).await?),
            Op::Txn(op) => answer::txn(raw.txn(request::txn(op)).await?),
            Op::Compact { revision } => {
                let request = pb::CompactionRequest {
                    revision: *revision,
                    physical: false,
                };
                answer::result(raw.compact(request).await?.header, Answer::Compact)
            }
            Op::LeaseGrant(op) => {
                let response = raw.lease_grant(request::grant(op)).await?;
                let body = Answer::LeaseGrant {
                    lease: response.id,
                    ttl: response.ttl,
                };
                answer::result(response.header, body)
            }
            Op::LeaseRevoke { lease } => {
                let response = raw
                    .lease_revoke(pb::LeaseRevokeRequest { id: *lease })
                    .await?;
                answer::result(response.header, Answer::LeaseRevoke)
            }
            Op::LeaseKeepAlive { lease } => keep_alive(raw, *lease).await,
            Op::LeaseTtl { lease, keys } => {
                let request = pb::LeaseTimeToLiveRequest {
                    id: *lease,
                    keys: *keys,
                };
                let response = raw.lease_time_to_live(request).await?;
                let body = Answer::LeaseTtl {
                    ttl: response.ttl,
                    granted_ttl: response.granted_ttl,
                    keys: response.keys.into_iter().map(Blob::from).collect(),
                };
                answer::result(response.header, body)
            }
            Op::HashKv { revision } => {
                let response = raw
                    .hash_kv(pb::HashKvRequest {
                        revision: *revision,
                    })
                    .await?;
                let body = Answer::HashKv {
                    hash: response.hash,
                    hash_revision: response.hash_revision,
                    compact_revision: response.compact_revision,
                };
                answer::result(response.header, body)
            }
        }
    }
}

/// One keep-alive on a stream of its own, so that an answer can belong to no other request.
async fn keep_alive(raw: &Raw, lease: i64) -> Result<OpResult, Status> {
    let mut stream = raw.keep_alive_stream();
    stream.send(pb::LeaseKeepAliveRequest { id: lease }).await;
    let response = stream.next_or_end().await?;
    if response.ttl <= 0 {
        return Err(Status::not_found("etcdserver: requested lease not found"));
    }
    answer::result(
        response.header,
        Answer::LeaseKeepAlive { ttl: response.ttl },
    )
}

/// A read that got no answer had no effect either way; a write may have had one.
fn judge(op: &Op, answer: Result<OpResult, Status>) -> Reply {
    match answer {
        Ok(result) => Reply::Ok(result),
        Err(status) => {
            let failure = Failure::of(&status);
            if failure.definite || only_reads(op) {
                Reply::Fail(failure)
            } else {
                Reply::Unknown(failure)
            }
        }
    }
}

fn only_reads(op: &Op) -> bool {
    match op {
        Op::Range(_) | Op::LeaseTtl { .. } | Op::HashKv { .. } => true,
        Op::Txn(txn) => txn.then.iter().chain(&txn.otherwise).all(only_reads),
        _ => false,
    }
}

/// Answers about the data come from a member that works; only its silence calls for a pause.
fn reply_asks_for_a_pause(reply: &Reply) -> bool {
    match reply {
        Reply::Ok(_) => false,
        Reply::Unknown(_) => true,
        Reply::Fail(failure) => !matches!(
            failure.class,
            "compacted" | "future-revision" | "lease-not-found" | "lease-exists"
        ),
    }
}

fn recorded(failure: &Failure) -> history::Failure {
    let kind = match failure.class {
        "compacted" => FailureKind::Compacted,
        "future-revision" => FailureKind::FutureRevision,
        "lease-not-found" => FailureKind::LeaseNotFound,
        "lease-exists" => FailureKind::LeaseExists,
        "no-space" => FailureKind::NoSpace,
        "timeout" => FailureKind::Timeout,
        "unavailable" | "no-leader" | "leader-changed" | "connect-refused" | "reset" => {
            FailureKind::Unavailable
        }
        _ => FailureKind::Other,
    };
    history::Failure {
        kind,
        text: failure.text.clone(),
    }
}
