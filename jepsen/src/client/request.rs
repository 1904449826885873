//! Operations of the history as messages of the protocol.

use mainstay_check::history::{Cmp, Compare, DeleteOp, Filter, Op, PutOp, RangeOp, Target, TxnOp};
use mainstay_check::history::{GrantOp, WatchRequest};
use mainstay_proto::etcdserverpb as pb;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request;
use pb::watch_create_request::FilterType;

pub(super) fn range(op: &RangeOp) -> pb::RangeRequest {
    pb::RangeRequest {
        key: op.key.clone().into(),
        range_end: op.end.clone().into(),
        limit: op.limit,
        revision: op.revision,
        serializable: op.serializable,
        keys_only: op.keys_only,
        count_only: op.count_only,
        ..Default::default()
    }
}

pub(super) fn put(op: &PutOp) -> pb::PutRequest {
    pb::PutRequest {
        key: op.key.clone().into(),
        value: op.value.clone().into(),
        lease: op.lease,
        prev_kv: op.prev_kv,
        ..Default::default()
    }
}

pub(super) fn delete(op: &DeleteOp) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest {
        key: op.key.clone().into(),
        range_end: op.end.clone().into(),
        prev_kv: op.prev_kv,
    }
}

pub(super) fn grant(op: &GrantOp) -> pb::LeaseGrantRequest {
    pb::LeaseGrantRequest {
        ttl: op.ttl,
        id: op.lease,
    }
}

/// A transaction. Steps of a kind that a transaction cannot hold are a mistake of the workload.
pub(super) fn txn(op: &TxnOp) -> pb::TxnRequest {
    pb::TxnRequest {
        compare: op.compares.iter().map(compare).collect(),
        success: op.then.iter().map(step).collect(),
        failure: op.otherwise.iter().map(step).collect(),
    }
}

fn step(op: &Op) -> pb::RequestOp {
    let request = match op {
        Op::Range(op) => Request::RequestRange(range(op)),
        Op::Put(op) => Request::RequestPut(put(op)),
        Op::Delete(op) => Request::RequestDeleteRange(delete(op)),
        Op::Txn(op) => Request::RequestTxn(txn(op)),
        other => unreachable!("workloads put no {:?} into transactions", other.kind()),
    };
    pb::RequestOp {
        request: Some(request),
    }
}

fn compare(compare: &Compare) -> pb::Compare {
    let (target, union) = match &compare.target {
        Target::Version(version) => (CompareTarget::Version, TargetUnion::Version(*version)),
        Target::Create(revision) => (
            CompareTarget::Create,
            TargetUnion::CreateRevision(*revision),
        ),
        Target::Mod(revision) => (CompareTarget::Mod, TargetUnion::ModRevision(*revision)),
        Target::Lease(lease) => (CompareTarget::Lease, TargetUnion::Lease(*lease)),
        Target::Value(value) => (
            CompareTarget::Value,
            TargetUnion::Value(value.clone().into()),
        ),
    };
    let result = match compare.cmp {
        Cmp::Equal => CompareResult::Equal,
        Cmp::NotEqual => CompareResult::NotEqual,
        Cmp::Less => CompareResult::Less,
        Cmp::Greater => CompareResult::Greater,
    };
    pb::Compare {
        result: result.into(),
        target: target.into(),
        key: compare.key.clone().into(),
        range_end: compare.end.clone().into(),
        target_union: Some(union),
    }
}

/// A watch under the id that the client chose.
pub(super) fn watch(request: &WatchRequest, watch_id: i64) -> pb::WatchCreateRequest {
    let filter = |filter: &Filter| match filter {
        Filter::NoPut => FilterType::Noput.into(),
        Filter::NoDelete => FilterType::Nodelete.into(),
    };
    pb::WatchCreateRequest {
        key: request.key.clone().into(),
        range_end: request.end.clone().into(),
        start_revision: request.start_revision,
        progress_notify: request.progress,
        filters: request.filters.iter().map(filter).collect(),
        prev_kv: request.prev_kv,
        watch_id,
        fragment: false,
    }
}
