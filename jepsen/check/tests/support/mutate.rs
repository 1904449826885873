//! Ways to spoil a valid history, each certain to break a promise.

mod answers;
mod leases;
mod order;
mod watches;

use mainstay_check::history::{Answer, KeyValue, Op, Operation, Outcome};
use mainstay_check::{AnomalyKind, History};
use rand::Rng;
use rand::rngs::StdRng;

/// Changes the history at a random place; false when it has no place for it.
pub type Spoil = fn(&mut History, &mut StdRng) -> bool;

/// A way to spoil, and the kinds of anomalies of which one must be found.
pub struct Mutation {
    pub name: &'static str,
    pub spoil: Spoil,
    pub found_as: &'static [AnomalyKind],
}

pub fn all() -> Vec<Mutation> {
    let mut all = order::all();
    all.extend(answers::all());
    all.extend(watches::all());
    all.extend(leases::all());
    all
}

/// One of the positions where something holds.
pub fn pick<T>(list: &[T], rng: &mut StdRng, wanted: impl Fn(&T) -> bool) -> Option<usize> {
    let places: Vec<usize> = (0..list.len()).filter(|at| wanted(&list[*at])).collect();
    (!places.is_empty()).then(|| places[rng.random_range(0..places.len())])
}

pub fn is_ok(operation: &Operation) -> bool {
    operation.outcome == Outcome::Ok
}

pub fn revision(operation: &Operation) -> i64 {
    operation
        .result
        .as_ref()
        .map_or(0, |result| result.revision)
}

/// Acknowledged puts of their own.
pub fn is_put(operation: &Operation) -> bool {
    is_ok(operation) && matches!(operation.op, Op::Put(_))
}

/// Reads that must be current.
pub fn is_current_read(operation: &Operation) -> bool {
    is_ok(operation)
        && matches!(&operation.op, Op::Range(range) if !range.serializable && range.revision == 0)
}

pub fn pairs(operation: &Operation) -> &[KeyValue] {
    match operation.result.as_ref().map(|result| &result.answer) {
        Some(Answer::Range { kvs, .. }) => kvs,
        _ => &[],
    }
}

pub fn answer(operation: &mut Operation) -> &mut Answer {
    &mut operation.result.as_mut().unwrap().answer
}

pub fn pairs_mut(operation: &mut Operation) -> &mut Vec<KeyValue> {
    match answer(operation) {
        Answer::Range { kvs, .. } => kvs,
        other => panic!("no range: {other:?}"),
    }
}

pub fn has_values(operation: &Operation) -> bool {
    matches!(&operation.op, Op::Range(range) if !range.keys_only)
}
