//! Jepsen's workloads: sets, list-append, registers.

use mainstay_check::history::{Blob, Cmp, Compare, Op, PutOp, RangeOp, RunInfo, Target, TxnOp};
use rand::Rng;

use super::World;

pub(super) fn run_info() -> RunInfo {
    RunInfo {
        sets: vec!["set/".into()],
        lists: vec!["list/".into()],
        registers: vec!["register/".into()],
        ..RunInfo::default()
    }
}

impl World {
    pub(super) fn choose_workload(&mut self) -> Op {
        let unique = self.history.operations.len();
        match self.rng.random_range(0..12) {
            0..2 => Op::Put(PutOp {
                key: format!("set/{unique:06}").into(),
                ..PutOp::default()
            }),
            2 => Op::Range(RangeOp {
                key: "set/".into(),
                end: "set0".into(),
                ..RangeOp::default()
            }),
            3..6 => self.append(unique),
            6..8 => self.read("list"),
            8..10 => {
                let number = self.rng.random_range(0..self.plan.keys);
                Op::Put(PutOp {
                    key: format!("register/{number}").into(),
                    value: format!("v{unique}").into(),
                    ..PutOp::default()
                })
            }
            _ => self.read("register"),
        }
    }

    fn read(&mut self, folder: &str) -> Op {
        let number = self.rng.random_range(0..self.plan.keys);
        Op::Range(RangeOp {
            key: format!("{folder}/{number}").into(),
            ..RangeOp::default()
        })
    }

    /// Appends to two lists at once, if both are as they were read.
    fn append(&mut self, unique: usize) -> Op {
        let first = self.rng.random_range(0..self.plan.keys);
        let second = (first + 1) % self.plan.keys;
        let mut txn = TxnOp::default();
        for number in [first, second] {
            let key: Blob = format!("list/{number}").into();
            let old = self.store.now().get(&key).cloned().unwrap_or_default();
            let text = old.value.as_text().unwrap();
            txn.compares.push(Compare {
                key: key.clone(),
                end: Blob::default(),
                target: Target::Mod(old.modified),
                cmp: Cmp::Equal,
            });
            txn.then.push(Op::Put(PutOp {
                key,
                value: format!("{text} {unique}").trim().to_owned().into(),
                ..PutOp::default()
            }));
        }
        Op::Txn(txn)
    }
}
