//! Operations that may have made a revision although no answer says so.

use std::collections::HashMap;

use super::evidence::Fact;
use crate::history::{Blob, History, Op, Outcome};
use crate::model::{covers, is_single};

/// Requests without a known revision, found by what they would do.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// In the order of their calls.
    pub(super) all: Vec<u32>,
    puts: HashMap<(Blob, Blob), Vec<u32>>,
    puts_of_key: HashMap<Blob, Vec<u32>>,
    deletes_of_key: HashMap<Blob, Vec<u32>>,
    /// Deletions of more than one key.
    wide: Vec<(Blob, Blob, u32)>,
    revokes: HashMap<i64, Vec<u32>>,
    /// What certainly had no effect, by what it would have put.
    failed: HashMap<(Blob, Blob), u32>,
}

impl Open {
    pub(super) fn new(history: &History) -> Self {
        let mut open = Self::default();
        for (position, operation) in history.operations.iter().enumerate() {
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            let writes = matches!(
                operation.op,
                Op::Put(_) | Op::Delete(_) | Op::Txn(_) | Op::LeaseRevoke { .. }
            );
            // The revision of a revocation is that of its keys' end only if it had keys.
            let unclaimed = match operation.outcome {
                Outcome::Ok => matches!(operation.op, Op::LeaseRevoke { .. }),
                Outcome::Fail => {
                    open.add_failed(&operation.op, position);
                    false
                }
                Outcome::Unknown => writes,
            };
            if unclaimed {
                open.all.push(position);
                open.add(&operation.op, position);
            }
        }
        open.all
            .sort_by_key(|position| history.operations[*position as usize].call);
        open
    }

    fn add(&mut self, op: &Op, position: u32) {
        match op {
            Op::Put(put) => {
                let pair = (put.key.clone(), put.value.clone());
                self.puts.entry(pair).or_default().push(position);
                self.puts_of_key
                    .entry(put.key.clone())
                    .or_default()
                    .push(position);
            }
            Op::Delete(delete) if is_single(&delete.end) => self
                .deletes_of_key
                .entry(delete.key.clone())
                .or_default()
                .push(position),
            Op::Delete(delete) => {
                self.wide
                    .push((delete.key.clone(), delete.end.clone(), position))
            }
            Op::Txn(txn) => {
                for step in txn.then.iter().chain(&txn.otherwise) {
                    self.add(step, position);
                }
            }
            Op::LeaseRevoke { lease } => self.revokes.entry(*lease).or_default().push(position),
            _ => {}
        }
    }

    fn add_failed(&mut self, op: &Op, position: u32) {
        match op {
            Op::Put(put) => {
                self.failed
                    .insert((put.key.clone(), put.value.clone()), position);
            }
            Op::Txn(txn) => {
                for step in txn.then.iter().chain(&txn.otherwise) {
                    self.add_failed(step, position);
                }
            }
            _ => {}
        }
    }

    pub(super) fn revokes_of(&self, lease: i64) -> &[u32] {
        self.revokes.get(&lease).map_or(&[], Vec::as_slice)
    }

    /// Those that could have caused the fact; `lease` is that of the pair until then.
    pub(super) fn causing(&self, fact: &Fact, lease: i64) -> Vec<u32> {
        let of = |map: &HashMap<Blob, Vec<u32>>| map.get(&fact.key).cloned().unwrap_or_default();
        match &fact.pair {
            Some(pair) if fact.with_value => self
                .puts
                .get(&(pair.key.clone(), pair.value.clone()))
                .cloned()
                .unwrap_or_default(),
            Some(_) => of(&self.puts_of_key),
            None => {
                let mut found = of(&self.deletes_of_key);
                let wide = self
                    .wide
                    .iter()
                    .filter(|(key, end, _)| covers(key, end, &fact.key));
                found.extend(wide.map(|(_, _, position)| *position));
                found.extend(self.revokes_of(lease));
                found
            }
        }
    }

    /// The failed request that would have caused the fact.
    pub(super) fn aborted(&self, fact: &Fact) -> Option<u32> {
        let pair = fact.pair.as_ref()?;
        self.failed
            .get(&(pair.key.clone(), pair.value.clone()))
            .copied()
    }
}
