//! Small words for operations, and keys that take turns.

use crate::client::Client;
use mainstay_check::history::{
    Answer, Blob, Cmp, Compare, DeleteOp, KeyValue, Op, OpResult, PutOp, RangeOp, Target, TxnOp,
};
use mainstay_tests::raw::prefix_end;
use rand::Rng;
use rand::rngs::StdRng;
use std::sync::atomic::{AtomicU64, Ordering};

/// A linearizable read of one key.
pub(super) fn get(key: &str) -> Op {
    Op::Range(RangeOp {
        key: key.into(),
        ..Default::default()
    })
}

/// All keys that begin with `prefix`.
pub(super) fn all(prefix: &str) -> RangeOp {
    RangeOp {
        key: prefix.into(),
        end: end_of(prefix),
        ..Default::default()
    }
}

/// The first key after all that begin with `prefix`.
pub(super) fn end_of(prefix: &str) -> Blob {
    prefix_end(prefix.as_bytes()).into()
}

pub(super) fn put(key: &str, value: impl Into<Blob>) -> Op {
    Op::Put(PutOp {
        key: key.into(),
        value: value.into(),
        ..Default::default()
    })
}

/// A put that asks for what was there before.
pub(super) fn put_prev(key: &str, value: impl Into<Blob>) -> Op {
    Op::Put(PutOp {
        key: key.into(),
        value: value.into(),
        prev_kv: true,
        lease: 0,
    })
}

pub(super) fn put_leased(key: &str, value: impl Into<Blob>, lease: i64) -> Op {
    Op::Put(PutOp {
        key: key.into(),
        value: value.into(),
        lease,
        prev_kv: false,
    })
}

pub(super) fn delete(key: &str, prev_kv: bool) -> Op {
    Op::Delete(DeleteOp {
        key: key.into(),
        prev_kv,
        ..Default::default()
    })
}

pub(super) fn compare(key: &str, target: Target, cmp: Cmp) -> Compare {
    Compare {
        key: key.into(),
        end: Blob::default(),
        target,
        cmp,
    }
}

/// The key was last modified at this revision; 0 means that it does not exist.
pub(super) fn unmodified(key: &str, revision: i64) -> Compare {
    compare(key, Target::Mod(revision), Cmp::Equal)
}

pub(super) fn txn(compares: Vec<Compare>, then: Vec<Op>, otherwise: Vec<Op>) -> Op {
    Op::Txn(TxnOp {
        compares,
        then,
        otherwise,
    })
}

/// The pairs of a range's answer.
pub(super) fn pairs(result: &OpResult) -> &[KeyValue] {
    match &result.answer {
        Answer::Range { kvs, .. } => kvs,
        _ => &[],
    }
}

/// Reads one key and returns its pair, or the pair of a missing key, which was modified at 0. `None` without answer.
pub(super) async fn read(client: &mut Client, key: &str) -> Option<KeyValue> {
    let result = client.perform(get(key)).await.ok()?;
    let missing = || KeyValue {
        key: key.into(),
        ..Default::default()
    };
    Some(pairs(&result).first().cloned().unwrap_or_else(missing))
}

/// A read of any kind of what begins with `prefix`: linearizable or not, one key or many, now or earlier.
pub(super) async fn any_read(client: &mut Client, prefix: &str, key: &str) {
    let now = client.shared.revision();
    let rng = &mut client.rng;
    let one = RangeOp {
        key: key.into(),
        ..Default::default()
    };
    let mut op = if rng.random_bool(0.6) {
        one
    } else {
        all(prefix)
    };
    match rng.random_range(0..10) {
        0 | 1 => op.serializable = true,
        2 | 3 => op.revision = (now - rng.random_range(0..30)).max(1),
        // Of the future: an error that names it.
        4 if rng.random_bool(0.3) => op.revision = now + rng.random_range(1..50),
        5 => op.limit = rng.random_range(1..5),
        6 => op.keys_only = true,
        7 => op.count_only = true,
        _ => {}
    }
    client.perform(Op::Range(op)).await;
}

/// Keys that are used for a while and then make room for fresh ones, so that no key gets a history too long to judge.
#[derive(Debug)]
pub(super) struct Rotation {
    uses: AtomicU64,
    uses_per_key: u64,
    live: u64,
}

impl Rotation {
    /// `live` keys at a time, each used about `uses_per_key` times.
    pub(super) fn new(live: u64, uses_per_key: u64) -> Self {
        Self {
            uses: AtomicU64::new(0),
            uses_per_key,
            live,
        }
    }

    /// The number of a live key; counts as a use.
    pub(super) fn pick(&self, rng: &mut StdRng) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed) / self.uses_per_key
            + rng.random_range(0..self.live)
    }

    /// The number of a live key that is only looked at.
    pub(super) fn look(&self, rng: &mut StdRng) -> u64 {
        self.uses.load(Ordering::Relaxed) / self.uses_per_key + rng.random_range(0..self.live)
    }
}
