//! etcd's corners, one named test each.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod catch_up;
mod compaction;
mod counting;
mod ranges;
mod txns;
mod writes;

use bytes::Bytes;
use mainstay_engine::{Engine, MemEngine};
use mainstay_mvcc::check::{validate_delete, validate_put, validate_range, validate_txn};
use mainstay_mvcc::{LeaseLookup, Mvcc, MvccError, is_read_only, is_serializable};
use mainstay_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use mainstay_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::response_op::Response;
use mainstay_proto::etcdserverpb::*;
use mainstay_proto::mvccpb::KeyValue;
use mainstay_proto::mvccpb::event::EventType;
use std::sync::Arc;

type Store = Mvcc<MemEngine>;

struct Leases(&'static [i64]);

impl LeaseLookup for Leases {
    fn exists(&self, id: i64) -> bool {
        self.0.contains(&id)
    }
}

const NO_LEASES: Leases = Leases(&[]);

fn store() -> Store {
    Mvcc::open(Arc::new(MemEngine::new())).unwrap()
}

fn b(s: &str) -> Bytes {
    Bytes::copy_from_slice(s.as_bytes())
}

fn put_of(key: &str, value: &str) -> PutRequest {
    PutRequest {
        key: b(key),
        value: b(value),
        ..Default::default()
    }
}

fn delete_of(key: &str, end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest {
        key: b(key),
        range_end: b(end),
        prev_kv: false,
    }
}

fn range_of(key: &str, end: &str) -> RangeRequest {
    RangeRequest {
        key: b(key),
        range_end: b(end),
        ..Default::default()
    }
}

fn at(key: &str, revision: i64) -> RangeRequest {
    RangeRequest {
        revision,
        ..range_of(key, "")
    }
}

fn put_with(store: &mut Store, r: &PutRequest, leases: &Leases) -> Result<PutResponse, MvccError> {
    let mut batch = store.begin();
    let response = batch.put(r, leases);
    batch.commit().unwrap();
    response
}

/// Puts and returns the revision of the response header.
fn put(store: &mut Store, key: &str, value: &str) -> i64 {
    let response = put_with(store, &put_of(key, value), &NO_LEASES).unwrap();
    response.header.unwrap().revision
}

fn delete(store: &mut Store, key: &str, end: &str) -> DeleteRangeResponse {
    let mut batch = store.begin();
    let response = batch.delete_range(&delete_of(key, end)).unwrap();
    batch.commit().unwrap();
    response
}

fn txn(store: &mut Store, r: &TxnRequest) -> Result<TxnResponse, MvccError> {
    let mut batch = store.begin();
    let response = batch.txn(r, &NO_LEASES);
    batch.commit().unwrap();
    response
}

fn compact(store: &mut Store, rev: i64) -> Result<(), MvccError> {
    let mut batch = store.begin();
    let response = batch.compact(rev);
    batch.commit().unwrap();
    response
}

fn get(store: &Store, key: &str) -> Option<KeyValue> {
    range(store, &range_of(key, "")).unwrap().kvs.pop()
}

fn range(store: &Store, r: &RangeRequest) -> Result<RangeResponse, MvccError> {
    store.reader().range(r)
}

fn keys(response: &RangeResponse) -> Vec<String> {
    let key = |kv: &KeyValue| String::from_utf8(kv.key.to_vec()).unwrap();
    response.kvs.iter().map(key).collect()
}

fn op(request: Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

fn put_op(key: &str) -> RequestOp {
    op(Request::RequestPut(put_of(key, "v")))
}

fn delete_op(key: &str, end: &str) -> RequestOp {
    op(Request::RequestDeleteRange(delete_of(key, end)))
}

fn range_op(r: RangeRequest) -> RequestOp {
    op(Request::RequestRange(r))
}

fn success(ops: Vec<RequestOp>) -> TxnRequest {
    TxnRequest {
        success: ops,
        ..Default::default()
    }
}

fn txn_op(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
    op(Request::RequestTxn(TxnRequest {
        compare: Vec::new(),
        success,
        failure,
    }))
}

fn compare(result: CompareResult, target: CompareTarget, key: &str, union: TargetUnion) -> Compare {
    Compare {
        result: result as i32,
        target: target as i32,
        key: b(key),
        range_end: Bytes::new(),
        target_union: Some(union),
    }
}

fn holds(store: &mut Store, c: Compare) -> bool {
    let r = TxnRequest {
        compare: vec![c],
        ..Default::default()
    };
    txn(store, &r).unwrap().succeeded
}
