//! Requests against the state.

use super::change::Change;
use super::state::{State, Stored};
use crate::history::{Answer, DeleteOp, KeyValue, Op, PutOp, RangeOp, TxnOp};

impl State {
    /// Runs a request as the author of `revision` and tells what it changed; if that is nothing, the
    /// request made no revision. None for requests that are not about pairs.
    pub(crate) fn execute(&mut self, op: &Op, revision: i64) -> Option<(Answer, Vec<Change>)> {
        let mut changes = Vec::new();
        let mut taken = Vec::new();
        if let Op::Txn(txn) = op {
            self.branches(txn, &mut taken);
        }
        let mut taken = taken.into_iter();
        let answer = self.step(op, revision, &mut taken, &mut changes)?;
        Some((answer, changes))
    }

    /// Which branches a transaction and those nested in the taken ones take, outermost first. All are decided
    /// before anything is written: a nested guard does not see what its surroundings write.
    fn branches(&self, txn: &TxnOp, taken: &mut Vec<bool>) {
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        taken.push(succeeded);
        let steps = if succeeded { &txn.then } else { &txn.otherwise };
        for step in steps {
            if let Op::Txn(nested) = step {
                self.branches(nested, taken);
            }
        }
    }

    fn step(
        &mut self,
        op: &Op,
        revision: i64,
        taken: &mut std::vec::IntoIter<bool>,
        changes: &mut Vec<Change>,
    ) -> Option<Answer> {
        match op {
            Op::Range(range) => Some(self.range(range)),
            Op::Put(put) => Some(self.put(put, revision, changes)),
            Op::Delete(delete) => Some(self.delete(delete, revision, changes)),
            Op::Txn(txn) => self.txn(txn, revision, taken, changes),
            Op::LeaseRevoke { lease } => {
                self.end_lease(*lease, revision, changes);
                Some(Answer::LeaseRevoke)
            }
            _ => None,
        }
    }

    pub(crate) fn range(&self, range: &RangeOp) -> Answer {
        if range.revision > 0 {
            let at = self.scan_at(&range.key, &range.end, range.revision);
            return answer_range(range, at);
        }
        answer_range(range, self.scan(&range.key, &range.end))
    }

    fn put(&mut self, put: &PutOp, revision: i64, changes: &mut Vec<Change>) -> Answer {
        let old = self.get(&put.key);
        let stored = Stored {
            value: put.value.clone(),
            create: old.map_or(revision, |old| old.create),
            modified: revision,
            version: old.map_or(0, |old| old.version) + 1,
            lease: put.lease,
        };
        let change = self.set(&put.key, Some(stored), revision);
        let prev_kv = if put.prev_kv {
            change.pair_before()
        } else {
            None
        };
        changes.push(change);
        Answer::Put { prev_kv }
    }

    fn delete(&mut self, delete: &DeleteOp, revision: i64, changes: &mut Vec<Change>) -> Answer {
        let keys: Vec<_> = self
            .scan(&delete.key, &delete.end)
            .map(|(key, _)| key.clone())
            .collect();
        let from = changes.len();
        changes.extend(keys.iter().map(|key| self.set(key, None, revision)));
        let prev_kvs = if delete.prev_kv {
            changes[from..]
                .iter()
                .filter_map(Change::pair_before)
                .collect()
        } else {
            Vec::new()
        };
        Answer::Delete {
            deleted: count(keys.len()),
            prev_kvs,
        }
    }

    fn txn(
        &mut self,
        txn: &TxnOp,
        revision: i64,
        taken: &mut std::vec::IntoIter<bool>,
        changes: &mut Vec<Change>,
    ) -> Option<Answer> {
        let succeeded = taken.next()?;
        let steps = if succeeded { &txn.then } else { &txn.otherwise };
        let mut responses = Vec::with_capacity(steps.len());
        for step in steps {
            responses.push(self.step(step, revision, taken, changes)?);
        }
        Some(Answer::Txn {
            succeeded,
            responses,
        })
    }

    /// The keys of a lease go, all at one revision.
    pub(crate) fn end_lease(&mut self, lease: i64, revision: i64, changes: &mut Vec<Change>) {
        let keys = self.keys_of(lease).cloned().unwrap_or_default();
        changes.extend(keys.iter().map(|key| self.set(key, None, revision)));
    }
}

fn answer_range<'a>(
    range: &RangeOp,
    pairs: impl Iterator<Item = (&'a crate::history::Blob, &'a Stored)>,
) -> Answer {
    let limit = usize::try_from(range.limit)
        .ok()
        .filter(|limit| *limit > 0)
        .unwrap_or(usize::MAX);
    let mut kvs = Vec::new();
    let mut total = 0;
    for (key, stored) in pairs {
        total += 1;
        if range.count_only || kvs.len() >= limit {
            continue;
        }
        let mut kv: KeyValue = stored.pair(key);
        if range.keys_only {
            kv.value = crate::history::Blob::default();
        }
        kvs.push(kv);
    }
    Answer::Range {
        kvs,
        count: count(total),
        more: !range.count_only && total > limit,
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
