//! The rules a request must meet whatever the state of the store. Called where requests come in.

use crate::MvccError;
use mainstay_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

/// A rule that a request breaks; one of the [`MvccError`] variants that do not depend on the store.
pub type CheckError = MvccError;

/// Errors: empty key, invalid sort option.
pub fn validate_range(r: &RangeRequest) -> Result<(), CheckError> {
    if r.key.is_empty() {
        return Err(MvccError::EmptyKey);
    }
    let known =
        SortOrder::try_from(r.sort_order).is_ok() && SortTarget::try_from(r.sort_target).is_ok();
    if known {
        Ok(())
    } else {
        Err(MvccError::InvalidSortOption)
    }
}

/// Errors: empty key, value provided, lease provided.
pub fn validate_put(r: &PutRequest) -> Result<(), CheckError> {
    if r.key.is_empty() {
        return Err(MvccError::EmptyKey);
    }
    if r.ignore_value && !r.value.is_empty() {
        return Err(MvccError::ValueProvided);
    }
    if r.ignore_lease && r.lease != 0 {
        return Err(MvccError::LeaseProvided);
    }
    Ok(())
}

/// Error: empty key.
pub fn validate_delete(r: &DeleteRangeRequest) -> Result<(), CheckError> {
    if r.key.is_empty() {
        Err(MvccError::EmptyKey)
    } else {
        Ok(())
    }
}

/// Checks both branches, nested transactions included. `max_ops` bounds the longest of the three lists of
/// a transaction; what it leaves over bounds the ones nested in it.
/// Errors: too many ops, key not found (an empty operation), duplicate key, and those of the operations.
pub fn validate_txn(r: &TxnRequest, max_ops: usize) -> Result<(), CheckError> {
    validate_shape(r, max_ops)?;
    Writes::of(&r.success)?;
    Writes::of(&r.failure)?;
    Ok(())
}

fn validate_shape(r: &TxnRequest, max_ops: usize) -> Result<(), CheckError> {
    let longest = r.compare.len().max(r.success.len()).max(r.failure.len());
    let left = max_ops.checked_sub(longest).ok_or(MvccError::TooManyOps)?;
    if r.compare.iter().any(|c| c.key.is_empty()) {
        return Err(MvccError::EmptyKey);
    }
    for op in r.success.iter().chain(&r.failure) {
        match &op.request {
            Some(Request::RequestRange(r)) => validate_range(r)?,
            Some(Request::RequestPut(r)) => validate_put(r)?,
            Some(Request::RequestDeleteRange(r)) => validate_delete(r)?,
            Some(Request::RequestTxn(r)) => validate_shape(r, left)?,
            None => return Err(MvccError::KeyNotFound),
        }
    }
    Ok(())
}

/// The keys a list of operations puts and the ranges it deletes, nested ones included.
#[derive(Default)]
struct Writes<'a> {
    puts: HashSet<&'a [u8]>,
    deletes: Intervals,
}

impl<'a> Writes<'a> {
    /// Error: a key is put twice, or put and deleted. Deletes may overlap each other, and the branches
    /// of one nested transaction may put the same keys.
    fn of(ops: &'a [RequestOp]) -> Result<Self, CheckError> {
        let mut writes = Self::default();
        for op in ops {
            if let Some(Request::RequestDeleteRange(r)) = &op.request {
                writes.deletes.insert(&r.key, &r.range_end);
            }
        }
        for op in ops {
            if let Some(Request::RequestTxn(nested)) = &op.request {
                writes.add_nested(nested)?;
            }
        }
        for op in ops {
            if let Some(Request::RequestPut(r)) = &op.request {
                writes.add_put(&r.key)?;
            }
        }
        Ok(writes)
    }

    fn add_nested(&mut self, nested: &'a TxnRequest) -> Result<(), CheckError> {
        let success = Self::of(&nested.success)?;
        let failure = Self::of(&nested.failure)?;
        for key in &success.puts {
            self.add_put(key)?;
        }
        for key in &failure.puts {
            if !success.puts.contains(key) {
                self.add_put(key)?;
            }
        }
        self.deletes.extend(success.deletes);
        self.deletes.extend(failure.deletes);
        Ok(())
    }

    fn add_put(&mut self, key: &'a [u8]) -> Result<(), CheckError> {
        if self.deletes.contains(key) || !self.puts.insert(key) {
            return Err(MvccError::DuplicateKey);
        }
        Ok(())
    }
}

/// A set of keys as disjoint ranges: start to end, exclusive.
#[derive(Default)]
struct Intervals(BTreeMap<Vec<u8>, Vec<u8>>);

impl Intervals {
    /// Quirk: a range end of one zero byte is taken literally here, so that a delete "from key on"
    /// covers nothing.
    fn insert(&mut self, key: &[u8], range_end: &[u8]) {
        let end = if range_end.is_empty() {
            [key, &[0]].concat()
        } else {
            range_end.to_vec()
        };
        self.add(key.to_vec(), end);
    }

    fn add(&mut self, mut start: Vec<u8>, mut end: Vec<u8>) {
        if start >= end {
            return;
        }
        // Swallow what overlaps or touches.
        while let Some((s, e)) = self
            .0
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(&end[..])))
            .next_back()
            .filter(|(_, e)| **e >= start)
            .map(|(s, e)| (s.clone(), e.clone()))
        {
            self.0.remove(&s);
            start = start.min(s);
            end = end.max(e);
        }
        self.0.insert(start, end);
    }

    fn extend(&mut self, other: Self) {
        for (start, end) in other.0 {
            self.add(start, end);
        }
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.0
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .is_some_and(|(_, end)| &end[..] > key)
    }
}
