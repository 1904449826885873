//! The reference: a list of everything that ever happened.

use mainstay_mvcc::{MvccError, RevisionEvents};
use mainstay_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use mainstay_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::response_op::Response;
use mainstay_proto::etcdserverpb::*;
use mainstay_proto::mvccpb::event::EventType;
use mainstay_proto::mvccpb::{Event, KeyValue};
use std::collections::BTreeMap;

pub(crate) const LEASES: [i64; 3] = [1, 2, 3];

type State = BTreeMap<Vec<u8>, KeyValue>;
type Result<T> = std::result::Result<T, MvccError>;

#[derive(Debug)]
struct Change {
    revision: i64,
    key: Vec<u8>,
    kv: Option<KeyValue>,
}

#[derive(Debug)]
pub(crate) struct Reference {
    changes: Vec<Change>,
    pub(crate) revision: i64,
    pub(crate) compacted: i64,
}

fn covers(key: &[u8], range_end: &[u8], candidate: &[u8]) -> bool {
    match range_end {
        [] => candidate == key,
        [0] => candidate >= key,
        end => candidate >= key && candidate < end,
    }
}

fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader {
        revision,
        ..Default::default()
    })
}

impl Reference {
    pub(crate) fn new() -> Self {
        Self {
            changes: Vec::new(),
            revision: 1,
            compacted: -1,
        }
    }

    /// The keys as they were at `revision`.
    pub(crate) fn state(&self, revision: i64) -> State {
        let mut state = State::new();
        for change in self.changes.iter().filter(|c| c.revision <= revision) {
            match &change.kv {
                Some(kv) => state.insert(change.key.clone(), kv.clone()),
                None => state.remove(&change.key),
            };
        }
        state
    }

    /// The revision a request under way sees: one more once it has written.
    fn visible(&self) -> i64 {
        self.changes
            .last()
            .map_or(self.revision, |c| c.revision.max(self.revision))
    }

    fn now(&self) -> State {
        self.state(self.visible())
    }

    fn seal(&mut self) {
        self.revision = self.visible();
    }

    pub(crate) fn range(&self, r: &RangeRequest) -> Result<RangeResponse> {
        let current = self.visible();
        if r.revision > current {
            return Err(MvccError::FutureRevision);
        }
        let at = if r.revision <= 0 { current } else { r.revision };
        if at < self.compacted {
            return Err(MvccError::Compacted);
        }
        let mut kvs: Vec<KeyValue> = self
            .state(at)
            .into_iter()
            .filter(|(key, _)| covers(&r.key, &r.range_end, key))
            .map(|(_, kv)| kv)
            .collect();
        let count = kvs.len() as i64;
        if r.count_only {
            kvs.clear();
        }
        let order = SortOrder::try_from(r.sort_order).unwrap();
        let target = SortTarget::try_from(r.sort_target).unwrap();
        let by_value = target == SortTarget::Value;
        if r.keys_only && !by_value {
            kvs.iter_mut().for_each(|kv| {
                kv.value.clear();
            });
        }
        let default_order =
            order == SortOrder::None || (order == SortOrder::Ascend && target == SortTarget::Key);
        let bounds = [
            r.min_mod_revision,
            r.max_mod_revision,
            r.min_create_revision,
            r.max_create_revision,
        ];
        if default_order && bounds == [0; 4] && r.limit > 0 {
            kvs.truncate(r.limit as usize + 1);
        }
        if r.max_mod_revision != 0 {
            kvs.retain(|kv| kv.mod_revision <= r.max_mod_revision);
        }
        if r.min_mod_revision != 0 {
            kvs.retain(|kv| kv.mod_revision >= r.min_mod_revision);
        }
        if r.max_create_revision != 0 {
            kvs.retain(|kv| kv.create_revision <= r.max_create_revision);
        }
        if r.min_create_revision != 0 {
            kvs.retain(|kv| kv.create_revision >= r.min_create_revision);
        }
        let descend = order == SortOrder::Descend;
        kvs.sort_by(|a, b| {
            let order = match target {
                SortTarget::Key => a.key.cmp(&b.key),
                SortTarget::Version => a.version.cmp(&b.version),
                SortTarget::Create => a.create_revision.cmp(&b.create_revision),
                SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
                SortTarget::Value => a.value.cmp(&b.value),
            };
            if descend { order.reverse() } else { order }
        });
        let more = r.limit > 0 && kvs.len() > r.limit as usize;
        if more {
            kvs.truncate(r.limit as usize);
        }
        if r.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value.clear());
        }
        Ok(RangeResponse {
            header: header(current),
            kvs,
            more,
            count,
        })
    }

    pub(crate) fn put(&mut self, r: &PutRequest) -> Result<PutResponse> {
        self.check_put(r)?;
        let response = self.execute_put(r);
        self.seal();
        Ok(response)
    }

    fn check_put(&self, r: &PutRequest) -> Result<()> {
        if r.lease != 0 && !LEASES.contains(&r.lease) {
            return Err(MvccError::LeaseNotFound);
        }
        if (r.ignore_lease || r.ignore_value) && !self.now().contains_key(&r.key[..]) {
            return Err(MvccError::KeyNotFound);
        }
        Ok(())
    }

    fn execute_put(&mut self, r: &PutRequest) -> PutResponse {
        let old = self.now().remove(&r.key[..]);
        let revision = self.revision + 1;
        let mut kv = KeyValue {
            key: r.key.clone(),
            create_revision: old.as_ref().map_or(revision, |o| o.create_revision),
            mod_revision: revision,
            version: old.as_ref().map_or(0, |o| o.version) + 1,
            value: r.value.clone(),
            lease: r.lease,
        };
        if r.ignore_value {
            kv.value = old.as_ref().unwrap().value.clone();
        }
        if r.ignore_lease {
            kv.lease = old.as_ref().unwrap().lease;
        }
        self.changes.push(Change {
            revision,
            key: r.key.to_vec(),
            kv: Some(kv),
        });
        PutResponse {
            header: header(revision),
            prev_kv: old.filter(|_| r.prev_kv),
        }
    }

    pub(crate) fn delete_range(&mut self, r: &DeleteRangeRequest) -> DeleteRangeResponse {
        let response = self.execute_delete(r);
        self.seal();
        response
    }

    fn execute_delete(&mut self, r: &DeleteRangeRequest) -> DeleteRangeResponse {
        let gone: Vec<KeyValue> = self
            .now()
            .into_values()
            .filter(|kv| covers(&r.key, &r.range_end, &kv.key))
            .collect();
        self.remove(&gone);
        DeleteRangeResponse {
            header: header(self.visible()),
            deleted: gone.len() as i64,
            prev_kvs: if r.prev_kv { gone } else { Vec::new() },
        }
    }

    fn remove(&mut self, kvs: &[KeyValue]) {
        let revision = self.revision + 1;
        self.changes.extend(kvs.iter().map(|kv| Change {
            revision,
            key: kv.key.to_vec(),
            kv: None,
        }));
    }

    pub(crate) fn delete_lease_keys(&mut self, lease: i64) -> usize {
        let gone: Vec<KeyValue> = self.lease_kvs(lease);
        self.remove(&gone);
        self.seal();
        gone.len()
    }

    pub(crate) fn lease_kvs(&self, lease: i64) -> Vec<KeyValue> {
        self.now()
            .into_values()
            .filter(|kv| lease != 0 && kv.lease == lease)
            .collect()
    }

    pub(crate) fn compact(&mut self, rev: i64) -> Result<()> {
        if rev <= self.compacted {
            return Err(MvccError::Compacted);
        }
        if rev > self.revision {
            return Err(MvccError::FutureRevision);
        }
        self.compacted = rev;
        Ok(())
    }

    pub(crate) fn txn(&mut self, r: &TxnRequest) -> Result<TxnResponse> {
        let before = self.now();
        self.check_txn(r, &before, &mut Vec::new())?;
        let mut response = self.execute_txn(r, &before);
        response.header = header(self.visible());
        self.seal();
        Ok(response)
    }

    fn taken<'a>(r: &'a TxnRequest, before: &State) -> (bool, &'a [RequestOp]) {
        let succeeded = r.compare.iter().all(|c| holds(c, before));
        (succeeded, if succeeded { &r.success } else { &r.failure })
    }

    fn check_txn<'a>(
        &self,
        r: &'a TxnRequest,
        before: &State,
        deleted: &mut Vec<&'a DeleteRangeRequest>,
    ) -> Result<()> {
        for op in Self::taken(r, before).1 {
            match op.request.as_ref().unwrap() {
                Request::RequestRange(r) if r.revision > self.revision => {
                    return Err(MvccError::FutureRevision);
                }
                Request::RequestRange(r) if r.revision != 0 && r.revision < self.compacted => {
                    return Err(MvccError::Compacted);
                }
                Request::RequestRange(_) => {}
                Request::RequestPut(r) => {
                    self.check_put(r)?;
                    let gone = deleted.iter().any(|d| covers(&d.key, &d.range_end, &r.key));
                    if gone && (r.ignore_value || r.ignore_lease) {
                        return Err(MvccError::KeyNotFound);
                    }
                }
                Request::RequestDeleteRange(r) => deleted.push(r),
                Request::RequestTxn(r) => self.check_txn(r, before, deleted)?,
            }
        }
        Ok(())
    }

    fn execute_txn(&mut self, r: &TxnRequest, before: &State) -> TxnResponse {
        let (succeeded, ops) = Self::taken(r, before);
        let responses = ops
            .iter()
            .map(|op| match op.request.as_ref().unwrap() {
                Request::RequestRange(r) => Response::ResponseRange(self.range(r).unwrap()),
                Request::RequestPut(r) => Response::ResponsePut(self.execute_put(r)),
                Request::RequestDeleteRange(r) => {
                    Response::ResponseDeleteRange(self.execute_delete(r))
                }
                Request::RequestTxn(r) => Response::ResponseTxn(self.execute_txn(r, before)),
            })
            .map(|response| ResponseOp {
                response: Some(response),
            })
            .collect();
        TxnResponse {
            header: header(0),
            succeeded,
            responses,
        }
    }

    /// All events from `from` on.
    pub(crate) fn events(&self, from: i64) -> Result<Vec<RevisionEvents>> {
        if from < self.compacted {
            return Err(MvccError::Compacted);
        }
        Ok(self.all_events(from, self.compacted))
    }

    /// As they were when they happened, before any compaction.
    pub(crate) fn all_events(&self, from: i64, compacted: i64) -> Vec<RevisionEvents> {
        let mut out: Vec<RevisionEvents> = Vec::new();
        for change in self.changes.iter().filter(|c| c.revision >= from) {
            let revision = change.revision;
            let kv = change.kv.clone().unwrap_or_else(|| KeyValue {
                key: change.key.clone().into(),
                mod_revision: revision,
                ..Default::default()
            });
            let creates = change.kv.is_some() && kv.create_revision == revision;
            let prev_kv = self
                .state(revision - 1)
                .remove(&change.key)
                .filter(|_| !creates && revision > compacted);
            let kind = if change.kv.is_some() {
                EventType::Put
            } else {
                EventType::Delete
            };
            let event = Event {
                r#type: kind as i32,
                kv: Some(kv),
                prev_kv,
            };
            match out.last_mut() {
                Some(last) if last.revision == revision => last.events.push(event),
                _ => out.push(RevisionEvents {
                    revision,
                    events: vec![event],
                }),
            }
        }
        out
    }
}

fn holds(c: &Compare, state: &State) -> bool {
    let target = CompareTarget::try_from(c.target).unwrap();
    let found: Vec<&KeyValue> = state
        .values()
        .filter(|kv| covers(&c.key, &c.range_end, &kv.key))
        .collect();
    if found.is_empty() {
        let zero = KeyValue::default();
        return target != CompareTarget::Value && satisfies(c, target, &zero);
    }
    found.iter().all(|kv| satisfies(c, target, kv))
}

fn satisfies(c: &Compare, target: CompareTarget, kv: &KeyValue) -> bool {
    let number = match (target, &c.target_union) {
        (CompareTarget::Version, Some(TargetUnion::Version(n)))
        | (CompareTarget::Create, Some(TargetUnion::CreateRevision(n)))
        | (CompareTarget::Mod, Some(TargetUnion::ModRevision(n)))
        | (CompareTarget::Lease, Some(TargetUnion::Lease(n))) => *n,
        _ => 0,
    };
    let order = match target {
        CompareTarget::Version => kv.version.cmp(&number),
        CompareTarget::Create => kv.create_revision.cmp(&number),
        CompareTarget::Mod => kv.mod_revision.cmp(&number),
        CompareTarget::Lease => kv.lease.cmp(&number),
        CompareTarget::Value => match &c.target_union {
            Some(TargetUnion::Value(value)) => kv.value.cmp(value),
            _ => kv.value[..].cmp(&[]),
        },
    };
    match CompareResult::try_from(c.result) {
        Ok(CompareResult::Equal) => order.is_eq(),
        Ok(CompareResult::NotEqual) => order.is_ne(),
        Ok(CompareResult::Greater) => order.is_gt(),
        Ok(CompareResult::Less) => order.is_lt(),
        Err(_) => true,
    }
}
