//! Transactions: the check that comes before execution, and read-only execution.

use crate::compare::{Path, Steps, branch};
use crate::range::{header, range};
use crate::view::{Span, View};
use crate::{LeaseLookup, MvccError};
use mainstay_engine::Read;
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::response_op::Response;
use mainstay_proto::etcdserverpb::{
    PutRequest, RangeRequest, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
};

/// Whether the transaction can only read: every operation of both branches is a range. A nested
/// transaction counts as a write.
pub fn is_read_only(txn: &TxnRequest) -> bool {
    let is_range = |op: &RequestOp| matches!(op.request, Some(Request::RequestRange(_)));
    txn.success.iter().chain(&txn.failure).all(is_range)
}

/// Whether the transaction may be answered from local state without asking the leader: every operation
/// of both branches is a serializable range. True for a transaction without operations.
pub fn is_serializable(txn: &TxnRequest) -> bool {
    let is_serializable = |op: &RequestOp| match &op.request {
        Some(Request::RequestRange(r)) => r.serializable,
        _ => false,
    };
    txn.success.iter().chain(&txn.failure).all(is_serializable)
}

/// Finds everything that could make the taken branches fail, so that execution cannot.
pub(crate) struct Checker<'a, 'v, R: ?Sized> {
    view: &'a View<'v, R>,
    leases: &'a dyn LeaseLookup,
    /// What operations before the one checked delete.
    deleted: Vec<Span<'a>>,
}

impl<'a, 'v, R: Read + ?Sized> Checker<'a, 'v, R> {
    pub(crate) fn new(view: &'a View<'v, R>, leases: &'a dyn LeaseLookup) -> Self {
        Self {
            view,
            leases,
            deleted: Vec::new(),
        }
    }

    pub(crate) fn check(
        &mut self,
        txn: &'a TxnRequest,
        steps: &mut Steps<'_>,
    ) -> Result<(), MvccError> {
        for op in branch(txn, steps.next()) {
            match &op.request {
                Some(Request::RequestRange(r)) => self.check_range(r)?,
                Some(Request::RequestPut(r)) => self.check_put(r)?,
                Some(Request::RequestDeleteRange(r)) => {
                    self.deleted.push(Span::new(&r.key, &r.range_end));
                }
                Some(Request::RequestTxn(nested)) => self.check(nested, steps)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Against the revision before the transaction. Unlike outside of one, a negative revision below the
    /// compacted one (-1 on a fresh store) is refused.
    fn check_range(&self, r: &RangeRequest) -> Result<(), MvccError> {
        match r.revision {
            0 => Ok(()),
            n if n > self.view.revision => Err(MvccError::FutureRevision),
            n if n < self.view.compacted => Err(MvccError::Compacted),
            _ => Ok(()),
        }
    }

    fn check_put(&self, r: &PutRequest) -> Result<(), MvccError> {
        if r.lease != 0 && !self.leases.exists(r.lease) {
            return Err(MvccError::LeaseNotFound);
        }
        if !r.ignore_value && !r.ignore_lease {
            return Ok(());
        }
        // A from-key delete before a put of one of its keys passes the check for duplicates.
        let deleted = self.deleted.iter().any(|span| match *span {
            Span::Key(key) => key == r.key,
            Span::Range(start, end) => start <= &r.key[..] && end.is_none_or(|end| r.key < end),
        });
        if deleted || self.view.get(&r.key, self.view.revision)?.is_none() {
            return Err(MvccError::KeyNotFound);
        }
        Ok(())
    }
}

struct NoLeases;

impl LeaseLookup for NoLeases {
    fn exists(&self, _id: i64) -> bool {
        false
    }
}

/// Runs a transaction that only reads.
pub(crate) fn read_only<R: Read + ?Sized>(
    view: &View<'_, R>,
    txn: &TxnRequest,
) -> Result<TxnResponse, MvccError> {
    if !is_read_only(txn) {
        return Err(MvccError::NotReadOnly);
    }
    let path = Path::decide(view, txn)?;
    Checker::new(view, &NoLeases).check(txn, &mut path.steps())?;
    let succeeded = path.steps().next();
    let mut responses = Vec::new();
    for op in branch(txn, succeeded) {
        if let Some(Request::RequestRange(r)) = &op.request {
            let response = Response::ResponseRange(range(view, r)?);
            responses.push(ResponseOp {
                response: Some(response),
            });
        }
    }
    Ok(TxnResponse {
        header: Some(header(view.revision)),
        succeeded,
        responses,
    })
}

/// The header of a nested transaction's response: its revision stays 0.
pub(crate) fn nested_header() -> ResponseHeader {
    ResponseHeader::default()
}
