//! The store as its documentation describes it, replaying the committed log. Keeps every revision.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mainstay_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::response_op::Response;
use mainstay_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest,
    RangeResponse, RequestOp, ResponseOp, TxnRequest, TxnResponse,
};
use mainstay_proto::mvccpb::KeyValue;
use mainstay_raft::inspect::Decoded;

/// A change of one key at one revision; `None` is a deletion.
pub(crate) type Change = (Bytes, Option<KeyValue>);

/// A request that wrote, with its answer.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(PutRequest, PutResponse),
    Delete(DeleteRangeRequest, DeleteRangeResponse),
    Txn(TxnRequest, TxnResponse),
    Revoke,
}

/// See the module. Answers have no headers.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) revision: i64,
    pub(crate) compacted: i64,
    keys: BTreeMap<Bytes, Vec<(i64, Option<KeyValue>)>>,
    pub(crate) leases: BTreeSet<i64>,
    /// What wrote each revision, and the changes it made in order.
    pub(crate) writes: BTreeMap<i64, Write>,
    pub(crate) changes: BTreeMap<i64, Vec<Change>>,
}

fn in_range(key: &[u8], start: &[u8], end: &[u8]) -> bool {
    match end {
        [] => key == start,
        [0] => key >= start,
        _ => key >= start && key < end,
    }
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            revision: 1,
            compacted: -1,
            keys: BTreeMap::new(),
            leases: BTreeSet::new(),
            writes: BTreeMap::new(),
            changes: BTreeMap::new(),
        }
    }

    /// Applies a committed command.
    pub(crate) fn apply(&mut self, command: &Decoded) {
        let mut changes = Vec::new();
        let write = match command {
            Decoded::Put(request) => self
                .put(request, &mut changes)
                .map(|response| Write::Put(request.clone(), response)),
            Decoded::DeleteRange(request) => Some(Write::Delete(
                request.clone(),
                self.delete(request, &mut changes),
            )),
            Decoded::Txn(request) => self
                .txn(request, &mut changes)
                .map(|response| Write::Txn(request.clone(), response)),
            Decoded::Compact { revision } => {
                if *revision > self.compacted && *revision <= self.revision {
                    self.compacted = *revision;
                }
                None
            }
            Decoded::LeaseGrant { id, .. } => {
                self.leases.insert(*id);
                None
            }
            Decoded::LeaseRevoke { id } => self
                .leases
                .remove(id)
                .then(|| self.revoke(*id, &mut changes)),
            Decoded::LeaseCheckpoint(_)
            | Decoded::Attributes { .. }
            | Decoded::Alarm(_)
            | Decoded::Repair { .. }
            | Decoded::RepairOver { .. } => None,
        };
        if changes.is_empty() {
            return;
        }
        self.revision += 1;
        self.changes.insert(self.revision, changes);
        if let Some(write) = write {
            self.writes.insert(self.revision, write);
        }
    }

    fn current(&self, key: &[u8]) -> Option<&KeyValue> {
        self.keys.get(key)?.last()?.1.as_ref()
    }

    fn change(&mut self, key: Bytes, value: Option<KeyValue>, changes: &mut Vec<Change>) {
        let revision = self.revision + 1;
        let history = self.keys.entry(key.clone()).or_default();
        history.push((revision, value.clone()));
        changes.push((key, value));
    }

    /// `None` if it is refused.
    fn put(&mut self, request: &PutRequest, changes: &mut Vec<Change>) -> Option<PutResponse> {
        if request.lease != 0 && !self.leases.contains(&request.lease) {
            return None;
        }
        let old = self.current(&request.key).cloned();
        let revision = self.revision + 1;
        let new = KeyValue {
            key: request.key.clone(),
            create_revision: old.as_ref().map_or(revision, |old| old.create_revision),
            mod_revision: revision,
            version: old.as_ref().map_or(1, |old| old.version + 1),
            value: request.value.clone(),
            lease: request.lease,
        };
        self.change(request.key.clone(), Some(new), changes);
        Some(PutResponse {
            header: None,
            prev_kv: old.filter(|_| request.prev_kv),
        })
    }

    fn delete(
        &mut self,
        request: &DeleteRangeRequest,
        changes: &mut Vec<Change>,
    ) -> DeleteRangeResponse {
        let found: Vec<KeyValue> = self.live(i64::MAX, &request.key, &request.range_end);
        for kv in &found {
            self.change(kv.key.clone(), None, changes);
        }
        DeleteRangeResponse {
            header: None,
            deleted: found.len() as i64,
            prev_kvs: if request.prev_kv { found } else { Vec::new() },
        }
    }

    fn revoke(&mut self, lease: i64, changes: &mut Vec<Change>) -> Write {
        let attached: Vec<Bytes> = self
            .keys
            .iter()
            .filter_map(|(key, history)| {
                let kv = history.last()?.1.as_ref()?;
                (kv.lease == lease).then(|| key.clone())
            })
            .collect();
        for key in attached {
            self.change(key, None, changes);
        }
        Write::Revoke
    }

    /// `None` if it is refused as a whole. Refusals come before any effect.
    fn txn(&mut self, txn: &TxnRequest, changes: &mut Vec<Change>) -> Option<TxnResponse> {
        let ops = self.branch(txn, i64::MAX).1;
        let refused = ops.iter().any(|op| match &op.request {
            Some(Request::RequestPut(put)) => put.lease != 0 && !self.leases.contains(&put.lease),
            _ => false,
        });
        if refused {
            return None;
        }
        let (succeeded, ops) = self.branch(txn, i64::MAX);
        let mut responses = Vec::new();
        for op in ops {
            let response = match &op.request {
                Some(Request::RequestPut(put)) => self.put(put, changes).map(Response::ResponsePut),
                Some(Request::RequestDeleteRange(delete)) => {
                    Some(Response::ResponseDeleteRange(self.delete(delete, changes)))
                }
                Some(Request::RequestRange(range)) => {
                    Some(Response::ResponseRange(self.range(range, i64::MAX)))
                }
                _ => None,
            };
            responses.push(ResponseOp { response });
        }
        Some(TxnResponse {
            header: None,
            succeeded,
            responses,
        })
    }

    fn branch(&self, txn: &TxnRequest, at: i64) -> (bool, Vec<RequestOp>) {
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare, at));
        let ops = if succeeded {
            &txn.success
        } else {
            &txn.failure
        };
        (succeeded, ops.clone())
    }

    fn holds(&self, compare: &Compare, at: i64) -> bool {
        let found = self.live(at, &compare.key, &compare.range_end);
        let absent = KeyValue::default();
        if found.is_empty() {
            let by_value = compare.target == CompareTarget::Value as i32;
            return !by_value && compare.range_end.is_empty() && one_holds(compare, &absent);
        }
        found.iter().all(|kv| one_holds(compare, kv))
    }

    /// The answer of a transaction that wrote nothing, run on the state at `at`.
    pub(crate) fn read_only_txn(&self, txn: &TxnRequest, at: i64) -> TxnResponse {
        let (succeeded, ops) = self.branch(txn, at);
        let responses = ops.iter().map(|op| ResponseOp {
            response: match &op.request {
                Some(Request::RequestRange(range)) => {
                    Some(Response::ResponseRange(self.range(range, at)))
                }
                Some(Request::RequestDeleteRange(_)) => {
                    Some(Response::ResponseDeleteRange(DeleteRangeResponse::default()))
                }
                _ => None,
            },
        });
        TxnResponse {
            header: None,
            succeeded,
            responses: responses.collect(),
        }
    }

    /// What lived in a range at a revision, in order.
    pub(crate) fn live(&self, at: i64, start: &[u8], end: &[u8]) -> Vec<KeyValue> {
        let inside = self
            .keys
            .iter()
            .filter(|(key, _)| in_range(key, start, end));
        inside
            .filter_map(|(_, history)| {
                let upto = history.partition_point(|(revision, _)| *revision <= at);
                history[..upto].last()?.1.clone()
            })
            .collect()
    }

    /// A range of the state at `at`; the request's own revision, if any, is older.
    pub(crate) fn range(&self, request: &RangeRequest, at: i64) -> RangeResponse {
        let at = if request.revision > 0 {
            request.revision
        } else {
            at
        };
        let mut kvs = self.live(at, &request.key, &request.range_end);
        let count = kvs.len() as i64;
        let more = request.limit > 0 && count > request.limit;
        if request.limit > 0 {
            kvs.truncate(request.limit as usize);
        }
        RangeResponse {
            header: None,
            kvs,
            more,
            count,
        }
    }

    /// Changes of a range from a revision on, in order: what a watcher must see.
    pub(crate) fn events(&self, from: i64, start: &[u8], end: &[u8]) -> Vec<(i64, Change)> {
        let later = self.changes.range(from..);
        later
            .flat_map(|(revision, changes)| changes.iter().map(|c| (*revision, c.clone())))
            .filter(|(_, (key, _))| in_range(key, start, end))
            .collect()
    }
}

fn one_holds(compare: &Compare, kv: &KeyValue) -> bool {
    let order = match &compare.target_union {
        Some(TargetUnion::Version(v)) => kv.version.cmp(v),
        Some(TargetUnion::CreateRevision(v)) => kv.create_revision.cmp(v),
        Some(TargetUnion::ModRevision(v)) => kv.mod_revision.cmp(v),
        Some(TargetUnion::Value(v)) => kv.value.cmp(v),
        Some(TargetUnion::Lease(v)) => kv.lease.cmp(v),
        None => return false,
    };
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => order.is_eq(),
        Ok(CompareResult::NotEqual) => order.is_ne(),
        Ok(CompareResult::Greater) => order.is_gt(),
        Ok(CompareResult::Less) => order.is_lt(),
        Err(_) => false,
    }
}
