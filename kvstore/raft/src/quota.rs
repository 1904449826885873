//! The quota of the database's size: what a request is charged, as etcd charges it, and what is used.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};

/// Bytes a key is charged besides itself and its value.
pub(crate) const KEY_OVERHEAD_BYTES: u64 = 256;
/// Bytes a lease is charged.
const LEASE_BYTES: u64 = 64;

/// What a request would write, for [`Node::admit`](crate::Node::admit).
#[derive(Debug, Default)]
pub struct Charge {
    /// Bytes of new data; 0 for a request that only removes.
    pub(crate) adds: u64,
    /// What it may remove.
    pub(crate) removes: Vec<RangeRequest>,
}

impl Charge {
    #[must_use]
    pub fn put(r: &PutRequest) -> Self {
        Self {
            adds: put_charge(r),
            removes: Vec::new(),
        }
    }

    #[must_use]
    pub fn lease_grant() -> Self {
        Self {
            adds: LEASE_BYTES,
            removes: Vec::new(),
        }
    }

    #[must_use]
    pub fn delete_range(r: &DeleteRangeRequest) -> Self {
        let mut charge = Self::default();
        charge.remove(r);
        charge
    }

    #[must_use]
    pub fn txn(r: &TxnRequest) -> Self {
        let mut charge = Self {
            adds: txn_charge(r),
            removes: Vec::new(),
        };
        charge.remove_all(r);
        charge
    }

    fn remove(&mut self, r: &DeleteRangeRequest) {
        self.removes.push(RangeRequest {
            key: r.key.clone(),
            range_end: r.range_end.clone(),
            serializable: true,
            ..RangeRequest::default()
        });
    }

    fn remove_all(&mut self, r: &TxnRequest) {
        for op in r.success.iter().chain(&r.failure) {
            match &op.request {
                Some(Request::RequestDeleteRange(r)) => self.remove(r),
                Some(Request::RequestTxn(r)) => self.remove_all(r),
                _ => {}
            }
        }
    }
}

/// Bytes a put is charged; never 0.
fn put_charge(r: &PutRequest) -> u64 {
    KEY_OVERHEAD_BYTES + r.key.len() as u64 + r.value.len() as u64
}

/// Bytes a transaction is charged: its dearer branch, whichever will be taken. 0 without puts.
pub(crate) fn txn_charge(r: &TxnRequest) -> u64 {
    let op = |op: &RequestOp| match &op.request {
        Some(Request::RequestPut(r)) => put_charge(r),
        Some(Request::RequestTxn(r)) => txn_charge(r),
        _ => 0,
    };
    let branch = |ops: &[RequestOp]| ops.iter().map(op).sum::<u64>();
    branch(&r.success).max(branch(&r.failure))
}

/// The limit and what is used of it.
#[derive(Debug)]
pub(crate) struct Quota {
    /// `None`: there is no limit.
    limit_bytes: Option<u64>,
    /// The database's size when it was last measured …
    measured: AtomicU64,
    /// … and what was charged since then.
    charged: AtomicU64,
}

impl Quota {
    /// `flag` is `--quota-backend-bytes`. Only a positive one is a limit: there is no size at which this
    /// store gets worse, so an operator who does not ask for one gets none.
    pub(crate) fn new(flag: i64) -> Self {
        Self {
            limit_bytes: u64::try_from(flag).ok().filter(|limit| *limit > 0),
            measured: AtomicU64::new(0),
            charged: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.limit_bytes.is_some()
    }

    /// The limit in bytes, or -1.
    pub(crate) fn reported(&self) -> i64 {
        self.limit_bytes
            .map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
    }

    /// The database's size now.
    pub(crate) fn measure(&self, bytes: u64) {
        self.charged.store(0, Relaxed);
        self.measured.store(bytes, Relaxed);
    }

    /// Charges a request if it fits.
    pub(crate) fn charge(&self, bytes: u64) -> bool {
        let Some(limit) = self.limit_bytes else {
            return true;
        };
        let used = self.measured.load(Relaxed) + self.charged.load(Relaxed);
        let fits = used + bytes < limit;
        if fits {
            self.charged.fetch_add(bytes, Relaxed);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(bytes: usize) -> PutRequest {
        PutRequest {
            key: "k".into(),
            value: vec![0; bytes].into(),
            ..Default::default()
        }
    }

    fn op(request: Request) -> RequestOp {
        RequestOp {
            request: Some(request),
        }
    }

    #[test]
    fn the_dearer_branch_counts_with_what_is_nested() {
        let nested = TxnRequest {
            success: vec![op(Request::RequestPut(put(1000)))],
            ..Default::default()
        };
        let txn = TxnRequest {
            success: vec![op(Request::RequestPut(put(10)))],
            failure: vec![
                op(Request::RequestTxn(nested)),
                op(Request::RequestDeleteRange(Default::default())),
            ],
            ..Default::default()
        };
        assert_eq!(txn_charge(&txn), 256 + 1 + 1000);
        assert_eq!(Charge::txn(&txn).removes.len(), 1);
        assert_eq!(txn_charge(&TxnRequest::default()), 0);
    }

    #[test]
    fn charges_add_up_until_it_is_measured_again() {
        let quota = Quota::new(1000);
        assert!(quota.charge(600) && quota.charge(399) && !quota.charge(1));
        quota.measure(500);
        assert!(!quota.charge(500) && quota.charge(499));
        for unset in [0, -1, i64::MIN] {
            assert!(Quota::new(unset).charge(u64::MAX / 2));
        }
    }
}
