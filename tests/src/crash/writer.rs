//! Writers that record what was acknowledged, at which revision, and what they cannot know.

use super::history::Digest;
use crate::raw::{Raw, revision};
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RequestOp, TxnRequest};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio::task::JoinSet;
use tonic::Code;

/// After this the outcome of a write counts as unknown.
const WRITE_DEADLINE: Duration = Duration::from_secs(2);
/// A failed call is followed by this pause, so that a dead cluster is not hammered.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);
/// Keys of each writer; overwritten and deleted again and again.
const KEYS_PER_WRITER: u32 = 24;

/// What the writers know since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Revision and content of acknowledged writes.
    pub(super) acknowledged: Vec<(i64, Digest)>,
    /// Content of writes that may or may not have happened.
    pub(super) unknown: Vec<Digest>,
}

/// One write and what it must look like in the history.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Put(String, String),
    PutTwo([(String, String); 2]),
    Delete(String),
}

impl Operation {
    pub(super) fn put(key: String, value: String) -> Self {
        Self::Put(key, value)
    }

    /// Values are unique, so that one write is never taken for another.
    fn random(rng: &mut StdRng, writer: usize, sequence: u64) -> Self {
        let mut key = || format!("c/w{writer:02}/{:02}", rng.random_range(0..KEYS_PER_WRITER));
        let (first, second) = (key(), key());
        let value = format!(
            "{writer}:{sequence}:{}",
            "x".repeat(rng.random_range(0..200))
        );
        match rng.random_range(0..10) {
            0 => Self::Delete(first),
            1 | 2 if first != second => Self::PutTwo([(first, value.clone()), (second, value)]),
            _ => Self::Put(first, value),
        }
    }

    fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        match self {
            Self::Put(key, value) => digest.put(key.as_bytes(), value.as_bytes()),
            Self::PutTwo(pairs) => {
                for (key, value) in pairs {
                    digest.put(key.as_bytes(), value.as_bytes());
                }
            }
            Self::Delete(key) => digest.delete(key.as_bytes()),
        }
        digest
    }

    /// Performs the write once and records its outcome; the revision if it was acknowledged and changed something.
    pub(super) async fn perform(&self, raw: &Raw, outcomes: &Mutex<Outcomes>) -> Option<i64> {
        let result = match self {
            Self::Put(key, value) => raw.set(key.clone(), value.clone()).await.map(Some),
            Self::PutTwo(pairs) => {
                let success = pairs.iter().map(put_op).collect();
                let request = TxnRequest {
                    success,
                    ..Default::default()
                };
                raw.txn(request)
                    .await
                    .map(|response| Some(revision(response.header)))
            }
            Self::Delete(key) => {
                let request = DeleteRangeRequest {
                    key: key.clone().into(),
                    ..Default::default()
                };
                raw.delete_range(request)
                    .await
                    .map(|response| (response.deleted > 0).then(|| revision(response.header)))
            }
        };
        let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(Some(revision)) => {
                outcomes.acknowledged.push((revision, self.digest()));
                Some(revision)
            }
            Ok(None) => None,
            // The raw client says "connect" when no connection existed, so nothing can have been sent.
            Err(status)
                if status.code() == Code::Unavailable
                    && status.message().starts_with("connect:") =>
            {
                None
            }
            Err(_) => {
                outcomes.unknown.push(self.digest());
                None
            }
        }
    }
}

fn put_op((key, value): &(String, String)) -> RequestOp {
    let put = PutRequest {
        key: key.clone().into(),
        value: value.clone().into(),
        ..Default::default()
    };
    RequestOp {
        request: Some(Request::RequestPut(put)),
    }
}

/// Writers that run until this value is dropped.
#[derive(Debug)]
pub(super) struct Writers {
    outcomes: Arc<Mutex<Outcomes>>,
    acknowledged: Arc<AtomicU64>,
    gate: Arc<RwLock<()>>,
    tasks: JoinSet<()>,
}

impl Writers {
    pub(super) fn start(count: usize, raws: &Arc<[Raw]>, seed: u64) -> Self {
        let mut writers = Self {
            outcomes: Arc::default(),
            acknowledged: Arc::default(),
            gate: Arc::default(),
            tasks: JoinSet::new(),
        };
        for writer in 0..count {
            let rng = StdRng::seed_from_u64(seed ^ (writer as u64 + 1).wrapping_mul(0x9e37_79b9));
            let (outcomes, gate) = (writers.outcomes.clone(), writers.gate.clone());
            let (raws, acknowledged) = (raws.clone(), writers.acknowledged.clone());
            writers
                .tasks
                .spawn(write(writer, rng, raws, outcomes, acknowledged, gate));
        }
        writers
    }

    /// How many writers there are.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Writes acknowledged so far.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub(super) fn outcomes(&self) -> &Mutex<Outcomes> {
        &self.outcomes
    }

    /// Lets running operations end and holds the writers until the guard is dropped.
    pub(super) async fn pause(&self) -> OwnedRwLockWriteGuard<()> {
        self.gate.clone().write_owned().await
    }

    /// The outcomes since the last call.
    pub(super) fn take_outcomes(&self) -> Outcomes {
        std::mem::take(&mut *self.outcomes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn write(
    writer: usize,
    mut rng: StdRng,
    raws: Arc<[Raw]>,
    outcomes: Arc<Mutex<Outcomes>>,
    acknowledged: Arc<AtomicU64>,
    gate: Arc<RwLock<()>>,
) {
    let mut target = writer % raws.len();
    for sequence in 0.. {
        let operation = Operation::random(&mut rng, writer, sequence);
        let running = gate.read().await;
        let raw = raws[target].clone().with_deadline(WRITE_DEADLINE);
        let done = operation.perform(&raw, &outcomes).await;
        drop(running);
        if done.is_some() {
            acknowledged.fetch_add(1, Ordering::Relaxed);
        } else if !matches!(operation, Operation::Delete(_)) {
            target = (target + 1) % raws.len();
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
}
