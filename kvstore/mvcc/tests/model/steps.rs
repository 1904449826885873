//! Random sequences of operations.

use bytes::Bytes;
use mainstay_mvcc::check;
use mainstay_proto::etcdserverpb::compare::TargetUnion;
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::*;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) const MAX_TXN_OPS: usize = 128;

/// Revisions in generated requests are codes: up to 0 they are meant literally, from 1 on they count back
/// from two revisions in the future. [`resolve_txn`] and its like replace them.
const REVISION_CODES: std::ops::Range<i64> = -2..14;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Writes that go into one batch.
    Batch(Vec<Write>),
    Range(RangeRequest),
    ReadOnlyTxn(TxnRequest),
    Events(i64, usize, usize),
    Hash(i64),
    Flush,
    Reclaim,
    Restart,
    Crash,
}

#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(PutRequest),
    Delete(DeleteRangeRequest),
    Txn(TxnRequest),
    Revoke(i64),
    Compact(i64),
}

fn key() -> impl Strategy<Value = Bytes> {
    select(vec![
        &b"\0"[..],
        b"a",
        b"a\0",
        b"a\0\0",
        b"a\0b",
        b"a\x01",
        b"ab",
        b"b",
        b"b\xff",
        b"c",
    ])
    .prop_map(Bytes::from_static)
}

fn range_end() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        3 => Just(Bytes::new()),
        1 => Just(Bytes::from_static(b"\0")),
        3 => key(),
        1 => Just(Bytes::from_static(b"z")),
    ]
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        Just(Bytes::new()),
        Just(Bytes::from_static(b"x")),
        Just(Bytes::from_static(b"y")),
        Just(Bytes::from(vec![b'z'; 1500])),
        Just(Bytes::from(vec![b'w'; 1024])),
    ]
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.2)
}

fn bound() -> impl Strategy<Value = i64> {
    prop_oneof![8 => Just(0), 1 => 1..20i64]
}

prop_compose! {
    fn put()(
        key in key(), value in value(), lease in select(vec![0i64, 0, 1, 2, 3, 9]),
        prev_kv in any::<bool>(), ignore_value in rarely(), ignore_lease in rarely(),
    ) -> PutRequest {
        PutRequest {
            key,
            value: if ignore_value { Bytes::new() } else { value },
            lease: if ignore_lease { 0 } else { lease },
            prev_kv,
            ignore_value,
            ignore_lease,
        }
    }
}

prop_compose! {
    fn delete()(key in key(), range_end in range_end(), prev_kv in any::<bool>())
        -> DeleteRangeRequest
    {
        DeleteRangeRequest { key, range_end, prev_kv }
    }
}

prop_compose! {
    fn range()(
        key in key(), range_end in range_end(), limit in -1i64..5,
        revision in prop_oneof![2 => Just(0), 3 => REVISION_CODES],
        sort_order in select(vec![0, 0, 1, 2]), sort_target in select(vec![0, 0, 1, 2, 3, 4]),
        (keys_only, count_only) in (rarely(), rarely()),
        (min_mod_revision, max_mod_revision) in (bound(), bound()),
        (min_create_revision, max_create_revision) in (bound(), bound()),
    ) -> RangeRequest {
        RangeRequest {
            key, range_end, limit, revision, sort_order, sort_target, serializable: false,
            keys_only, count_only, min_mod_revision, max_mod_revision, min_create_revision,
            max_create_revision,
        }
    }
}

prop_compose! {
    fn compare()(
        result in prop_oneof![9 => 0..4i32, 1 => Just(7)], target in 0..5i32,
        key in key(), range_end in range_end(),
        union in prop_oneof![
            1 => Just(None),
            2 => (0..4i64).prop_map(|n| Some(TargetUnion::Version(n))),
            2 => (0..12i64).prop_map(|n| Some(TargetUnion::CreateRevision(n))),
            2 => (0..12i64).prop_map(|n| Some(TargetUnion::ModRevision(n))),
            2 => value().prop_map(|v| Some(TargetUnion::Value(v))),
            2 => (0..4i64).prop_map(|n| Some(TargetUnion::Lease(n))),
        ],
        fits in prop::bool::weighted(0.8),
    ) -> Compare {
        let target = match &union {
            Some(TargetUnion::Version(_)) if fits => 0,
            Some(TargetUnion::CreateRevision(_)) if fits => 1,
            Some(TargetUnion::ModRevision(_)) if fits => 2,
            Some(TargetUnion::Value(_)) if fits => 3,
            Some(TargetUnion::Lease(_)) if fits => 4,
            _ => target,
        };
        Compare { result, target, key, range_end, target_union: union }
    }
}

fn op(request: Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

fn txn_of(ops: impl Strategy<Value = RequestOp> + 'static) -> impl Strategy<Value = TxnRequest> {
    let ops = ops.boxed();
    let list = prop::collection::vec(ops, 0..5);
    (prop::collection::vec(compare(), 0..3), list.clone(), list).prop_map(
        |(compare, success, failure)| TxnRequest {
            compare,
            success,
            failure,
        },
    )
}

fn txn() -> impl Strategy<Value = TxnRequest> {
    let leaf = prop_oneof![
        2 => range().prop_map(|r| op(Request::RequestRange(r))),
        4 => put().prop_map(|r| op(Request::RequestPut(r))),
        2 => delete().prop_map(|r| op(Request::RequestDeleteRange(r))),
    ];
    let ops = leaf.prop_recursive(2, 12, 4, |inner| {
        txn_of(inner).prop_map(|r| op(Request::RequestTxn(r)))
    });
    txn_of(ops).prop_map(|mut r| {
        // Most random transactions write a key twice: drop operations until it is allowed.
        while check::validate_txn(&r, MAX_TXN_OPS).is_err() {
            if r.success.pop().is_none() {
                r.failure.pop();
            }
        }
        r
    })
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        8 => put().prop_map(Write::Put),
        3 => delete().prop_map(Write::Delete),
        5 => txn().prop_map(Write::Txn),
        1 => (0..4i64).prop_map(Write::Revoke),
        1 => REVISION_CODES.prop_map(Write::Compact),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => prop::collection::vec(write(), 1..6).prop_map(Step::Batch),
        8 => range().prop_map(Step::Range),
        2 => txn_of(range().prop_map(|r| op(Request::RequestRange(r)))).prop_map(Step::ReadOnlyTxn),
        3 => (REVISION_CODES, 0..4usize, select(vec![0, 2, 1000, 1 << 20]))
            .prop_map(|(from, revisions, bytes)| Step::Events(from, revisions, bytes)),
        2 => REVISION_CODES.prop_map(Step::Hash),
        1 => Just(Step::Flush),
        1 => Just(Step::Reclaim),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ]
}

pub(crate) fn steps(max: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..max)
}

pub(crate) fn resolve(code: i64, current: i64) -> i64 {
    if code <= 0 { code } else { current + 3 - code }
}

fn resolve_op(op: &mut RequestOp, current: i64) {
    match &mut op.request {
        Some(Request::RequestRange(r)) => r.revision = resolve(r.revision, current),
        Some(Request::RequestTxn(r)) => resolve_txn(r, current),
        _ => {}
    }
}

pub(crate) fn resolve_txn(r: &mut TxnRequest, current: i64) {
    let ops = r.success.iter_mut().chain(&mut r.failure);
    ops.for_each(|op| resolve_op(op, current));
}
