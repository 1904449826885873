//! What clients do, and how a member does it for them: the server's own steps without the wire.

use bytes::Bytes;
use mainstay_mvcc::{MvccError, is_read_only};
use mainstay_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
    TxnResponse,
};
use mainstay_raft::{Applied, Command, Error};
use prost::Message;

use crate::host::SimNode;
use crate::rng::Rng;

/// One call.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Put(PutRequest),
    Delete(DeleteRangeRequest),
    Txn(TxnRequest),
    Range(RangeRequest),
    Compact { revision: i64, physical: bool },
    Grant { id: i64, ttl: i64 },
    Revoke { id: i64 },
    KeepAlive { id: i64 },
    TimeToLive { id: i64 },
}

/// A call's answer.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Applied(Applied),
    Range(RangeResponse),
    ReadTxn(TxnResponse),
    Ttl(i64),
}

/// Carries out a call on a member.
pub(crate) async fn perform(node: &SimNode, op: Op) -> Result<Answer, Error> {
    let bytes = |message: Vec<u8>| Bytes::from(message);
    let command = match op {
        Op::Put(request) => Command::Put(bytes(request.encode_to_vec())),
        Op::Delete(request) => Command::DeleteRange(bytes(request.encode_to_vec())),
        Op::Txn(request) if is_read_only(&request) => {
            node.read_index().await?;
            return Ok(Answer::ReadTxn(node.reader().txn(&request)?));
        }
        Op::Txn(request) => Command::Txn(bytes(request.encode_to_vec())),
        Op::Range(request) => {
            if !request.serializable {
                node.read_index().await?;
            }
            return Ok(Answer::Range(node.reader().range(&request)?));
        }
        Op::Compact { revision, physical } => Command::Compact { revision, physical },
        Op::Grant { id, ttl } => Command::LeaseGrant { id, ttl },
        Op::Revoke { id } => Command::LeaseRevoke { id },
        Op::KeepAlive { id } => return node.lease_keep_alive(id).await.map(Answer::Ttl),
        Op::TimeToLive { id } => {
            let info = node.lease_time_to_live(id, true).await?;
            return Ok(Answer::Ttl(info.ttl));
        }
    };
    node.propose(command).await.map(Answer::Applied)
}

/// Errors that may be answered to a correct call, other than those of unavailability.
pub(crate) fn is_expected(op: &Op, e: &Error) -> bool {
    match (op, e) {
        (Op::Range(r), Error::Mvcc(MvccError::Compacted | MvccError::FutureRevision)) => {
            r.revision > 0
        }
        (Op::Compact { .. }, Error::Mvcc(MvccError::Compacted | MvccError::FutureRevision)) => true,
        (Op::Put(_) | Op::Txn(_), Error::LeaseNotFound) => true,
        (Op::Grant { .. }, Error::LeaseExists) => true,
        (Op::Revoke { .. } | Op::KeepAlive { .. }, Error::LeaseNotFound) => true,
        _ => false,
    }
}

/// Errors of a store that cannot serve at the moment.
pub(crate) fn is_unavailable(e: &Error) -> bool {
    matches!(
        e,
        Error::NoLeader
            | Error::LeaderChanged
            | Error::NotLeader
            | Error::Timeout
            | Error::TimeoutLeaderFailure
            | Error::TimeoutConnectionLost
            | Error::TimeoutAppliedIndex
            | Error::Stopped
            | Error::TooManyRequests
            | Error::NoSpace
            | Error::Unhealthy
    )
}

/// What ops are made from.
#[derive(Debug)]
pub(crate) struct Making {
    pub(crate) keys: u64,
    next: u64,
    /// Leases that clients know of.
    pub(crate) leases: Vec<i64>,
    /// Revisions told and compacted, so that ops aim at interesting ones.
    pub(crate) told: i64,
    pub(crate) compacted: i64,
}

impl Making {
    pub(crate) fn new(keys: u64) -> Self {
        Self {
            keys,
            next: 0,
            leases: Vec::new(),
            told: 1,
            compacted: 0,
        }
    }

    fn key(&self, rng: &mut Rng) -> Bytes {
        Bytes::from(format!("k{:02}", rng.below(self.keys)))
    }

    /// A range of some keys, or of one.
    pub(crate) fn some_range(&self, rng: &mut Rng) -> (Bytes, Bytes) {
        match rng.below(4) {
            0 => (Bytes::from_static(b"k"), Bytes::from_static(b"l")),
            1 => (Bytes::from_static(&[0]), Bytes::from_static(&[0])),
            2 => {
                let (a, b) = (rng.below(self.keys), rng.below(self.keys));
                let key = |n: u64| Bytes::from(format!("k{n:02}"));
                (key(a.min(b)), key(a.max(b) + 1))
            }
            _ => (self.key(rng), Bytes::new()),
        }
    }

    pub(crate) fn put(&mut self, rng: &mut Rng) -> PutRequest {
        self.next += 1;
        let filler = rng.pick(&[0, 8, 8, 200]);
        let lease = match self.leases.is_empty() || rng.below(5) > 0 {
            true => 0,
            false => rng.pick(&self.leases),
        };
        PutRequest {
            key: self.key(rng),
            value: Bytes::from(format!("v{}{}", self.next, "x".repeat(filler))),
            lease,
            prev_kv: rng.one_in(2),
            ..PutRequest::default()
        }
    }

    fn range(&self, rng: &mut Rng) -> RangeRequest {
        let (key, range_end) = self.some_range(rng);
        let revision = match rng.below(8) {
            0 => self.compacted.max(1),
            1 => rng.range(self.compacted.max(1) as u64, self.told.max(1) as u64) as i64,
            _ => 0,
        };
        RangeRequest {
            key,
            range_end,
            revision,
            limit: rng.pick(&[0, 0, 0, 2]),
            serializable: rng.one_in(3),
            ..RangeRequest::default()
        }
    }

    fn txn(&mut self, rng: &mut Rng) -> TxnRequest {
        self.next += 1;
        let key = self.key(rng);
        let guard = match rng.below(3) {
            0 => (
                CompareTarget::Version,
                TargetUnion::Version(rng.below(3) as i64),
            ),
            1 => (
                CompareTarget::Mod,
                TargetUnion::ModRevision(rng.range(1, self.told.max(1) as u64) as i64),
            ),
            _ => (
                CompareTarget::Create,
                TargetUnion::CreateRevision(rng.below(self.told.max(1) as u64 + 1) as i64),
            ),
        };
        let result = rng.pick(&[
            CompareResult::Equal,
            CompareResult::Greater,
            CompareResult::Less,
            CompareResult::NotEqual,
        ]);
        // Never there: only names this transaction.
        let nonce = Compare {
            result: CompareResult::Equal as i32,
            target: CompareTarget::Version as i32,
            key: Bytes::from(format!("nonce{}", self.next)),
            target_union: Some(TargetUnion::Version(0)),
            ..Compare::default()
        };
        let compare = Compare {
            result: result as i32,
            target: guard.0 as i32,
            key: key.clone(),
            target_union: Some(guard.1),
            ..Compare::default()
        };
        let read = RequestOp {
            request: Some(Request::RequestRange(RangeRequest {
                key: Bytes::from_static(b"k"),
                range_end: Bytes::from_static(b"l"),
                ..RangeRequest::default()
            })),
        };
        let mut put = self.put(rng);
        put.key.clone_from(&key);
        put.lease = 0;
        let mut success = vec![RequestOp {
            request: Some(Request::RequestPut(put)),
        }];
        let mut other = self.put(rng);
        other.lease = 0;
        match rng.below(4) {
            0 if other.key != key => {
                success.push(RequestOp {
                    request: Some(Request::RequestPut(other)),
                });
            }
            1 if other.key != key => success.push(RequestOp {
                request: Some(Request::RequestDeleteRange(DeleteRangeRequest {
                    key: other.key,
                    prev_kv: true,
                    ..DeleteRangeRequest::default()
                })),
            }),
            _ => {}
        }
        success.push(read.clone());
        TxnRequest {
            compare: vec![nonce, compare],
            success: if rng.one_in(8) {
                vec![read.clone()]
            } else {
                success
            },
            failure: vec![read],
        }
    }

    /// The next call of a client.
    pub(crate) fn op(&mut self, rng: &mut Rng) -> Op {
        match rng.below(100) {
            0..30 => Op::Put(self.put(rng)),
            30..45 => Op::Txn(self.txn(rng)),
            45..55 => {
                let (key, range_end) = match rng.one_in(4) {
                    true => self.some_range(rng),
                    false => (self.key(rng), Bytes::new()),
                };
                Op::Delete(DeleteRangeRequest {
                    key,
                    range_end,
                    prev_kv: rng.one_in(2),
                })
            }
            55..80 => Op::Range(self.range(rng)),
            80..83 => {
                let newest = self.told.max(1) as u64;
                let revision = match rng.one_in(3) {
                    true => self.compacted.max(1),
                    false => rng.range(newest.saturating_sub(20).max(1), newest) as i64,
                };
                Op::Compact {
                    revision,
                    physical: rng.one_in(2),
                }
            }
            83..87 => {
                self.next += 1;
                Op::Grant {
                    id: self.next as i64,
                    ttl: rng.range(1, 4) as i64,
                }
            }
            lease_op => match self.leases.is_empty() {
                true => Op::Put(self.put(rng)),
                false => {
                    let id = rng.pick(&self.leases);
                    match lease_op {
                        87..89 => Op::Revoke { id },
                        89..91 => Op::TimeToLive { id },
                        _ => Op::KeepAlive { id },
                    }
                }
            },
        }
    }
}
