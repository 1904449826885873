//! Transactions out of requests.

use adya::history::{Interner, Mop, ReadValue, Scalar};

use super::name;
use crate::history::{
    Answer, Blob, Cmp, History, KeyValue, Op, Operation, Outcome, RangeOp, Target, TxnOp,
};
use crate::verdict::{Anomaly, AnomalyKind, Report};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Lists,
    Registers,
}

/// One transaction in adya's terms.
pub(super) struct Transaction {
    /// Of the operation in the history.
    pub(super) position: u32,
    pub(super) call: u64,
    pub(super) returned: Option<u64>,
    pub(super) outcome: Outcome,
    /// Writes only: what is known without an answer.
    pub(super) asked: Vec<Mop>,
    pub(super) done: Vec<Mop>,
}

struct Extractor<'a> {
    prefix: &'a Blob,
    kind: Kind,
    names: &'a mut Interner,
    bad: Vec<Blob>,
}

pub(super) fn extract(
    history: &History,
    prefix: &Blob,
    kind: Kind,
    names: &mut Interner,
    report: &mut Report,
) -> Vec<Transaction> {
    let mut extractor = Extractor {
        prefix,
        kind,
        names,
        bad: Vec::new(),
    };
    let mut txns = Vec::new();
    for (position, operation) in (0..).zip(&history.operations) {
        txns.extend(extractor.transaction(position, operation));
        for value in extractor.bad.drain(..) {
            let text = format!("{value:?} is no list of numbers");
            report.found(Anomaly::new(AnomalyKind::ListBroken, text).op(operation.id));
        }
    }
    txns
}

impl Extractor<'_> {
    fn transaction(&mut self, position: u32, operation: &Operation) -> Option<Transaction> {
        let mut asked = Vec::new();
        self.writes(&operation.op, &mut asked);
        let mut done = Vec::new();
        let mut outcome = operation.outcome;
        if let Some(result) = &operation.result {
            if !is_current(&operation.op) {
                return None;
            }
            self.done(&operation.op, &result.answer, &mut done);
            if let Answer::Txn {
                succeeded: false, ..
            } = result.answer
                && done.is_empty()
            {
                // What it wanted to write must never be seen.
                outcome = Outcome::Fail;
            }
        }
        let nothing = match outcome {
            Outcome::Ok => done.is_empty(),
            _ => asked.is_empty(),
        };
        (!nothing).then_some(Transaction {
            position,
            call: operation.call,
            returned: operation.returned,
            outcome,
            asked,
            done,
        })
    }

    fn writes(&mut self, op: &Op, mops: &mut Vec<Mop>) {
        match op {
            Op::Put(put) if put.key.starts_with(self.prefix) => {
                mops.extend(self.write(&put.key, &put.value));
            }
            Op::Txn(txn) => {
                for step in &txn.then {
                    self.writes(step, mops);
                }
            }
            _ => {}
        }
    }

    fn write(&mut self, key: &Blob, value: &Blob) -> Option<Mop> {
        let name_of_key = name(self.names, key);
        Some(match self.kind {
            Kind::Lists => Mop::Append {
                key: name_of_key,
                value: *self.list(value)?.last()?,
            },
            Kind::Registers => Mop::Write {
                key: name_of_key,
                value: name(self.names, value),
            },
        })
    }

    fn done(&mut self, op: &Op, answer: &Answer, mops: &mut Vec<Mop>) {
        match (op, answer) {
            (Op::Range(range), Answer::Range { kvs, .. }) => self.reads(range, kvs, mops),
            (Op::Put(put), _) if put.key.starts_with(self.prefix) => {
                mops.extend(self.write(&put.key, &put.value));
            }
            (
                Op::Txn(txn),
                Answer::Txn {
                    succeeded,
                    responses,
                },
            ) => {
                if *succeeded {
                    self.guarded(txn, mops);
                }
                let steps = if *succeeded {
                    &txn.then
                } else {
                    &txn.otherwise
                };
                for (step, response) in steps.iter().zip(responses) {
                    self.done(step, response, mops);
                }
            }
            _ => {}
        }
    }

    /// A guard that held has read what it compared.
    fn guarded(&mut self, txn: &TxnOp, mops: &mut Vec<Mop>) {
        for compare in &txn.compares {
            let applies = compare.cmp == Cmp::Equal
                && compare.end.is_empty()
                && compare.key.starts_with(self.prefix);
            if !applies {
                continue;
            }
            let value = match (&compare.target, self.kind) {
                (Target::Mod(0) | Target::Create(0) | Target::Version(0), _) => ReadValue::Nil,
                (Target::Value(value), Kind::Registers) => {
                    ReadValue::Scalar(name(self.names, value))
                }
                (Target::Mod(_), Kind::Lists) => match self.list_before(txn, &compare.key) {
                    Some(list) => ReadValue::List(list),
                    None => continue,
                },
                _ => continue,
            };
            let key = name(self.names, &compare.key);
            mops.push(Mop::Read { key, value });
        }
    }

    /// The list that the transaction lengthens.
    fn list_before(&mut self, txn: &TxnOp, key: &Blob) -> Option<Vec<u32>> {
        let put = txn.then.iter().find_map(|step| match step {
            Op::Put(put) if put.key == *key => Some(put),
            _ => None,
        })?;
        let mut list = self.list(&put.value)?;
        list.pop();
        Some(list)
    }

    fn reads(&mut self, range: &RangeOp, kvs: &[KeyValue], mops: &mut Vec<Mop>) {
        let plain = !range.keys_only && !range.count_only && range.limit == 0;
        if !plain {
            return;
        }
        if range.end.is_empty() && kvs.is_empty() && range.key.starts_with(self.prefix) {
            let key = name(self.names, &range.key);
            mops.push(Mop::Read {
                key,
                value: ReadValue::Nil,
            });
        }
        for kv in kvs.iter().filter(|kv| kv.key.starts_with(self.prefix)) {
            let value = match self.kind {
                Kind::Lists => match self.list(&kv.value) {
                    Some(list) => ReadValue::List(list),
                    None => continue,
                },
                Kind::Registers => ReadValue::Scalar(name(self.names, &kv.value)),
            };
            let key = name(self.names, &kv.key);
            mops.push(Mop::Read { key, value });
        }
    }

    /// Numbers with single spaces between.
    fn list(&mut self, value: &Blob) -> Option<Vec<u32>> {
        let numbers: Option<Vec<i64>> = value.as_text().and_then(|text| {
            let parts = text.split(' ').filter(|part| !part.is_empty());
            parts.map(|part| part.parse().ok()).collect()
        });
        let Some(numbers) = numbers else {
            self.bad.push(value.clone());
            return None;
        };
        let names = numbers.into_iter();
        Some(names.map(|n| self.names.intern(Scalar::Int(n))).collect())
    }
}

/// Reads of the past or without the promise to be current are no part of a serial order by real time.
fn is_current(op: &Op) -> bool {
    match op {
        Op::Range(range) => range.revision == 0 && !range.serializable,
        Op::Txn(txn) => txn
            .then
            .iter()
            .chain(&txn.otherwise)
            .all(|step| match step {
                Op::Range(range) => range.revision == 0 && !range.serializable,
                _ => true,
            }),
        _ => true,
    }
}
