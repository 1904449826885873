//! The conditions of a transaction.

use crate::MvccError;
use crate::record::RecordRef;
use crate::view::{Span, View};
use mainstay_engine::Read;
use mainstay_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::{Compare, RequestOp, TxnRequest};
use std::cmp::Ordering;
use std::ops::ControlFlow;

/// Which branches a transaction and the ones nested in its taken branches take, outermost first. All are
/// decided against the state before the transaction.
#[derive(Debug, Default)]
pub(crate) struct Path {
    taken: Vec<bool>,
}

/// Walks a [`Path`] in the order in which it was decided.
#[derive(Debug)]
pub(crate) struct Steps<'a>(std::slice::Iter<'a, bool>);

impl Path {
    pub(crate) fn decide<R: Read + ?Sized>(
        view: &View<'_, R>,
        txn: &TxnRequest,
    ) -> Result<Self, MvccError> {
        let mut path = Self::default();
        path.add(view, txn)?;
        Ok(path)
    }

    pub(crate) fn steps(&self) -> Steps<'_> {
        Steps(self.taken.iter())
    }

    fn add<R: Read + ?Sized>(
        &mut self,
        view: &View<'_, R>,
        txn: &TxnRequest,
    ) -> Result<(), MvccError> {
        let mut succeeded = true;
        for compare in &txn.compare {
            if !holds(view, compare)? {
                succeeded = false;
                break;
            }
        }
        self.taken.push(succeeded);
        for op in branch(txn, succeeded) {
            if let Some(Request::RequestTxn(nested)) = &op.request {
                self.add(view, nested)?;
            }
        }
        Ok(())
    }
}

impl Steps<'_> {
    /// The branch of the next transaction on the path.
    pub(crate) fn next(&mut self) -> bool {
        *self
            .0
            .next()
            .expect("check and execution visit the transactions that the path was decided for")
    }
}

pub(crate) fn branch(txn: &TxnRequest, succeeded: bool) -> &[RequestOp] {
    if succeeded {
        &txn.success
    } else {
        &txn.failure
    }
}

/// All keys of the range must satisfy the condition. A missing key compares as zero, except that a value
/// condition on it never holds.
fn holds<R: Read + ?Sized>(view: &View<'_, R>, c: &Compare) -> Result<bool, MvccError> {
    let mut any = false;
    let mut all = true;
    view.visit(
        Span::new(&c.key, &c.range_end),
        view.revision,
        &mut |_, record| {
            any = true;
            all = satisfies(c, &record);
            if all {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        },
    )?;
    if any {
        return Ok(all);
    }
    let missing = RecordRef {
        create: 0,
        modified: 0,
        version: 0,
        lease: 0,
        value: &[],
    };
    Ok(c.target != CompareTarget::Value as i32 && satisfies(c, &missing))
}

/// A target whose operand is absent or of another target compares against zero or the empty value.
fn satisfies(c: &Compare, record: &RecordRef<'_>) -> bool {
    let union = c.target_union.as_ref();
    let order = match CompareTarget::try_from(c.target) {
        Ok(CompareTarget::Value) => {
            let value: &[u8] = match union {
                Some(TargetUnion::Value(value)) => value,
                _ => &[],
            };
            record.value.cmp(value)
        }
        Ok(CompareTarget::Create) => record.create.cmp(&match union {
            Some(TargetUnion::CreateRevision(n)) => *n,
            _ => 0,
        }),
        Ok(CompareTarget::Mod) => record.modified.cmp(&match union {
            Some(TargetUnion::ModRevision(n)) => *n,
            _ => 0,
        }),
        Ok(CompareTarget::Version) => record.version.cmp(&match union {
            Some(TargetUnion::Version(n)) => *n,
            _ => 0,
        }),
        Ok(CompareTarget::Lease) => record.lease.cmp(&match union {
            Some(TargetUnion::Lease(n)) => *n,
            _ => 0,
        }),
        Err(_) => Ordering::Equal,
    };
    match CompareResult::try_from(c.result) {
        Ok(CompareResult::Equal) => order.is_eq(),
        Ok(CompareResult::NotEqual) => order.is_ne(),
        Ok(CompareResult::Greater) => order.is_gt(),
        Ok(CompareResult::Less) => order.is_lt(),
        Err(_) => true,
    }
}
