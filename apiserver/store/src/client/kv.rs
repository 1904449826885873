//! Reads and guarded writes of single keys.

use super::calls::{Client, Consistency, Effect};
use super::failure::Failure;
use super::stored::{Created, Deleted, Got, Stored, Updated};
use bytes::Bytes;
use mainstay_apiplanted::{Mistake, makes, makes_seldom};
use mainstay_proto::etcdserverpb as pb;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request;
use pb::response_op::Response;

pub(crate) const RANGE: &str = "/etcdserverpb.KV/Range";
const TXN: &str = "/etcdserverpb.KV/Txn";
const COMPACT: &str = "/etcdserverpb.KV/Compact";

impl Client {
    /// Reads one key.
    pub async fn get(&self, key: Bytes, consistency: Consistency) -> Result<Got, Failure> {
        let request = pb::RangeRequest {
            key,
            limit: 1,
            serializable: consistency == Consistency::Serializable,
            ..Default::default()
        };
        let answer: pb::RangeResponse = self.call(Effect::Read, RANGE, request).await?;
        Ok(Got {
            revision: revision(answer.header)?,
            found: answer.kvs.into_iter().next().map(Stored::from),
        })
    }

    /// The store's revision as of a moment after the call began.
    pub async fn current_revision(&self) -> Result<i64, Failure> {
        // No object has this key; the revision is in every answer.
        let request = pb::RangeRequest {
            key: Bytes::from_static(b"\0"),
            count_only: true,
            ..Default::default()
        };
        let answer: pb::RangeResponse = self.call(Effect::Read, RANGE, request).await?;
        revision(answer.header)
    }

    /// Writes a key that must not exist, with a lease unless that is 0.
    pub async fn create(&self, key: Bytes, value: Bytes, lease: i64) -> Result<Created, Failure> {
        let compare = guard(key.clone(), CompareTarget::Create, 0);
        let mut txn = guarded(compare, put(key.clone(), value, lease), key);
        if makes(Mistake::UnguardedCreate) {
            txn.compare.clear();
        }
        if makes(Mistake::EarlyAnswer) {
            let next = self.current_revision().await? + 1;
            if makes_seldom(Mistake::EarlyAnswer, next) {
                let client = self.clone();
                tokio::spawn(async move { client.txn(txn).await });
                return Ok(Created::Done(next));
            }
        }
        let (done, revision, current) = self.txn(txn).await?;
        match (done, current) {
            (true, _) => Ok(Created::Done(revision)),
            (false, Some(found)) => Ok(Created::Exists(found)),
            (false, None) => Err(odd("a create was refused although the key does not exist")),
        }
    }

    /// Writes a key that must be at `expected`, with a lease unless that is 0.
    pub async fn update(
        &self,
        key: Bytes,
        expected: i64,
        value: Bytes,
        lease: i64,
    ) -> Result<Updated, Failure> {
        let compare = guard(key.clone(), CompareTarget::Mod, expected);
        let mut txn = guarded(compare, put(key.clone(), value, lease), key);
        if makes(Mistake::UnguardedUpdate) {
            txn.compare.clear();
        }
        let (done, revision, current) = self.txn(txn).await?;
        Ok(if done {
            Updated::Done(match makes(Mistake::OldAnswer) {
                true => expected,
                false => revision,
            })
        } else {
            Updated::Conflict(current)
        })
    }

    /// Deletes a key that must be at `expected`.
    pub async fn delete(&self, key: Bytes, expected: i64) -> Result<Deleted, Failure> {
        let compare = guard(key.clone(), CompareTarget::Mod, expected);
        let delete = Request::RequestDeleteRange(pb::DeleteRangeRequest {
            key: key.clone(),
            ..Default::default()
        });
        let (done, revision, current) = self.txn(guarded(compare, delete, key)).await?;
        Ok(if done {
            Deleted::Done(revision)
        } else {
            Deleted::Conflict(current)
        })
    }

    /// Lets the store forget everything that was superseded at or before `revision`.
    pub async fn compact(&self, revision: i64) -> Result<(), Failure> {
        let request = pb::CompactionRequest {
            revision,
            physical: false,
        };
        // Compacting twice is refused the second time, which callers take as done: safe to repeat.
        let _: pb::CompactionResponse = self.call(Effect::Read, COMPACT, request).await?;
        Ok(())
    }

    /// A transaction of one guard; returns whether it held, the revision, and what the key is if it did not.
    async fn txn(&self, txn: pb::TxnRequest) -> Result<(bool, i64, Option<Stored>), Failure> {
        let answer: pb::TxnResponse = self.call(Effect::Write, TXN, txn).await?;
        // The write was carried out if it says so; a missing header only hides the revision.
        let revision = revision(answer.header)?;
        let found = answer
            .responses
            .into_iter()
            .find_map(|op| match op.response {
                Some(Response::ResponseRange(range)) => range.kvs.into_iter().next(),
                _ => None,
            });
        Ok((answer.succeeded, revision, found.map(Stored::from)))
    }
}

fn guard(key: Bytes, target: CompareTarget, revision: i64) -> pb::Compare {
    let value = match target {
        CompareTarget::Create => TargetUnion::CreateRevision(revision),
        _ => TargetUnion::ModRevision(revision),
    };
    pb::Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key,
        range_end: Bytes::new(),
        target_union: Some(value),
    }
}

fn put(key: Bytes, value: Bytes, lease: i64) -> Request {
    Request::RequestPut(pb::PutRequest {
        key,
        value,
        lease,
        ..Default::default()
    })
}

/// `write` if `compare` holds, else a read of `key`.
fn guarded(compare: pb::Compare, write: Request, key: Bytes) -> pb::TxnRequest {
    let read = Request::RequestRange(pb::RangeRequest {
        key,
        ..Default::default()
    });
    let op = |request| pb::RequestOp {
        request: Some(request),
    };
    pb::TxnRequest {
        compare: vec![compare],
        success: vec![op(write)],
        failure: vec![op(read)],
    }
}

pub(crate) fn revision(header: Option<pb::ResponseHeader>) -> Result<i64, Failure> {
    header
        .map(|header| header.revision)
        .ok_or_else(|| odd("an answer has no header"))
}

fn odd(text: &str) -> Failure {
    Failure::Refused(text.into())
}
