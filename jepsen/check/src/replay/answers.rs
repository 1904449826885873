//! An answer against what a correct store would have said.

use std::collections::HashMap;

use crate::history::{Answer, Blob, KeyValue, Op};
use crate::model::State;
use crate::verdict::{Anomaly, AnomalyKind};

/// Nothing when both are the same.
pub(super) fn differences(
    op: &Op,
    expected: &Answer,
    actual: &Answer,
    state: &State,
) -> Vec<Anomaly> {
    if expected == actual {
        return Vec::new();
    }
    let mut actual = actual.clone();
    fill_in_leases(op, expected, &mut actual);
    if *expected == actual {
        return Vec::new();
    }
    let mut found = Vec::new();
    compare(op, expected, &actual, state, &mut found);
    if found.is_empty() {
        let text = format!("expected {expected:?}, got {actual:?}");
        found.push(Anomaly::new(AnomalyKind::WrongAnswer, text));
    }
    found
}

/// Releases of etcd differ in whether a read of keys only tells the leases too: 3.4 does, 3.7, which answers from its index,
/// does not. Both are right, so a lease that is not told is not compared.
fn fill_in_leases(op: &Op, expected: &Answer, actual: &mut Answer) {
    match (op, expected, actual) {
        (Op::Range(range), Answer::Range { kvs: wanted, .. }, Answer::Range { kvs, .. })
            if range.keys_only =>
        {
            for (got, wanted) in kvs.iter_mut().zip(wanted) {
                if got.lease == 0 && got.key == wanted.key {
                    got.lease = wanted.lease;
                }
            }
        }
        (
            Op::Txn(txn),
            Answer::Txn {
                responses: wanted, ..
            },
            Answer::Txn {
                succeeded,
                responses,
            },
        ) => {
            let steps = if *succeeded {
                &txn.then
            } else {
                &txn.otherwise
            };
            for ((step, wanted), got) in steps.iter().zip(wanted).zip(responses) {
                fill_in_leases(step, wanted, got);
            }
        }
        _ => {}
    }
}

fn compare(op: &Op, expected: &Answer, actual: &Answer, state: &State, found: &mut Vec<Anomaly>) {
    match (expected, actual) {
        (Answer::Range { .. }, Answer::Range { .. }) => {
            compare_ranges(expected, actual, state, found)
        }
        (Answer::Put { prev_kv: wanted }, Answer::Put { prev_kv: got }) => {
            let wanted: Vec<_> = wanted.iter().collect();
            let got: Vec<_> = got.iter().collect();
            compare_previous(&wanted, &got, found);
        }
        (
            Answer::Delete {
                deleted: wanted,
                prev_kvs: wanted_kvs,
            },
            Answer::Delete { deleted, prev_kvs },
        ) => {
            if wanted != deleted {
                let text = format!("{wanted} pairs were to be deleted, the answer says {deleted}");
                found.push(Anomaly::new(AnomalyKind::WrongDeleted, text));
            }
            let wanted: Vec<_> = wanted_kvs.iter().collect();
            let got: Vec<_> = prev_kvs.iter().collect();
            compare_previous(&wanted, &got, found);
        }
        (
            Answer::Txn {
                succeeded: wanted,
                responses: wanted_responses,
            },
            Answer::Txn {
                succeeded,
                responses,
            },
        ) => {
            if wanted != succeeded {
                let text = format!("the guard is {wanted}, the answer says {succeeded}");
                found.push(Anomaly::new(AnomalyKind::WrongBranch, text));
                return;
            }
            let Op::Txn(txn) = op else { return };
            let steps = if *succeeded {
                &txn.then
            } else {
                &txn.otherwise
            };
            if responses.len() != wanted_responses.len() {
                let text = format!("{} responses for {} steps", responses.len(), steps.len());
                found.push(Anomaly::new(AnomalyKind::WrongAnswer, text));
                return;
            }
            for ((step, wanted), got) in steps.iter().zip(wanted_responses).zip(responses) {
                compare(step, wanted, got, state, found);
            }
        }
        _ => {}
    }
}

fn compare_previous(wanted: &[&KeyValue], got: &[&KeyValue], found: &mut Vec<Anomaly>) {
    if wanted == got {
        return;
    }
    let kind = if got.len() < wanted.len() {
        AnomalyKind::MissingPrevKv
    } else {
        AnomalyKind::WrongPrevKv
    };
    found.push(Anomaly::new(
        kind,
        format!("previous pairs {wanted:?}, got {got:?}"),
    ));
}

fn compare_ranges(expected: &Answer, actual: &Answer, state: &State, found: &mut Vec<Anomaly>) {
    let (
        Answer::Range {
            kvs: wanted,
            count: wanted_count,
            more: wanted_more,
        },
        Answer::Range { kvs, count, more },
    ) = (expected, actual)
    else {
        return;
    };
    if wanted != kvs {
        compare_pairs(wanted, kvs, state, found);
    }
    if count != wanted_count {
        let text = format!("{wanted_count} pairs in the range, the answer counts {count}");
        found.push(Anomaly::new(AnomalyKind::WrongCount, text));
    }
    if more != wanted_more {
        let text = format!("more is {wanted_more}, the answer says {more}");
        found.push(Anomaly::new(AnomalyKind::WrongMore, text));
    }
}

fn compare_pairs(wanted: &[KeyValue], got: &[KeyValue], state: &State, found: &mut Vec<Anomaly>) {
    let by_key: HashMap<&Blob, &KeyValue> = wanted.iter().map(|kv| (&kv.key, kv)).collect();
    let before = found.len();
    for kv in got {
        match by_key.get(&kv.key) {
            Some(wanted) if *wanted == kv => {}
            Some(wanted) => found.push(compare_pair(wanted, kv)),
            None => found.push(unexpected(kv, state)),
        }
    }
    let got_keys: std::collections::HashSet<&Blob> = got.iter().map(|kv| &kv.key).collect();
    for kv in wanted.iter().filter(|kv| !got_keys.contains(&kv.key)) {
        let text = format!("{kv:?} is missing");
        found.push(Anomaly::new(AnomalyKind::LostWrite, text));
    }
    if found.len() == before {
        let text = format!(
            "{} pairs, got {} or in another order",
            wanted.len(),
            got.len()
        );
        found.push(Anomaly::new(AnomalyKind::WrongLimit, text));
    }
}

fn compare_pair(wanted: &KeyValue, got: &KeyValue) -> Anomaly {
    let kind = if got.modified < wanted.modified {
        AnomalyKind::StaleRead
    } else if got.modified > wanted.modified {
        AnomalyKind::WrongMod
    } else if got.value != wanted.value {
        AnomalyKind::WrongValue
    } else if got.version != wanted.version {
        AnomalyKind::WrongVersion
    } else if got.create != wanted.create {
        AnomalyKind::WrongCreate
    } else {
        AnomalyKind::WrongLease
    };
    Anomaly::new(kind, format!("expected {wanted:?}, got {got:?}"))
}

/// A pair that is not there at the revision in question.
fn unexpected(kv: &KeyValue, state: &State) -> Anomaly {
    if state
        .get_at(&kv.key, kv.modified)
        .is_some_and(|old| old.modified == kv.modified)
    {
        return Anomaly::new(
            AnomalyKind::StaleRead,
            format!("{kv:?} is deleted or out of the range"),
        );
    }
    Anomaly::new(
        AnomalyKind::PhantomWrite,
        format!("{kv:?} was never written"),
    )
}

#[cfg(test)]
mod tests {
    use super::differences;
    use crate::history::{Answer, KeyValue, Op, RangeOp};
    use crate::model::State;

    fn read(keys_only: bool, told: i64) -> usize {
        let op = Op::Range(RangeOp {
            key: "k".into(),
            keys_only,
            ..RangeOp::default()
        });
        let answer = |lease| Answer::Range {
            kvs: vec![KeyValue {
                key: "k".into(),
                create: 2,
                modified: 2,
                version: 1,
                lease,
                ..KeyValue::default()
            }],
            count: 1,
            more: false,
        };
        differences(&op, &answer(7), &answer(told), &State::default()).len()
    }

    #[test]
    fn only_reads_of_keys_may_keep_leases_to_themselves() {
        assert_eq!([read(true, 7), read(true, 0), read(false, 7)], [0, 0, 0]);
        assert_eq!([read(true, 8), read(false, 0)], [1, 1]);
    }
}
