//! Answers that are wrong in one field.

use mainstay_check::AnomalyKind as Kind;
use mainstay_check::History;
use mainstay_check::history::{Answer, Failure, FailureKind, KeyValue, Op, Operation, Outcome};
use rand::rngs::StdRng;

use super::{
    Mutation, answer, has_values, is_current_read, is_ok, is_put, pairs, pairs_mut, pick, revision,
};

pub fn all() -> Vec<Mutation> {
    let of = |name, spoil, found_as| Mutation {
        name,
        spoil,
        found_as,
    };
    vec![
        of(
            "wrong value",
            |h, r| pair(h, r, |kv| kv.value = "other".into()),
            &[Kind::WrongValue],
        ),
        of(
            "wrong version",
            |h, r| pair(h, r, |kv| kv.version += 1),
            &[Kind::WrongVersion],
        ),
        of(
            "wrong create",
            |h, r| pair(h, r, |kv| kv.create -= 1),
            &[Kind::WrongCreate],
        ),
        of(
            "wrong mod",
            |h, r| pair(h, r, |kv| kv.modified += 1),
            &[Kind::WrongMod],
        ),
        of(
            "wrong lease",
            |h, r| pair(h, r, |kv| kv.lease += 1),
            &[Kind::WrongLease],
        ),
        of(
            "missing previous pair",
            missing_previous,
            &[Kind::MissingPrevKv],
        ),
        of("wrong previous pair", wrong_previous, &[Kind::WrongPrevKv]),
        of(
            "previous pair unasked",
            unasked_previous,
            &[Kind::WrongPrevKv],
        ),
        of(
            "wrong count of deletions",
            wrong_deleted,
            &[Kind::WrongDeleted],
        ),
        of("wrong count", wrong_count, &[Kind::WrongCount]),
        of("wrong more", wrong_more, &[Kind::WrongMore]),
        of(
            "limit exceeded",
            limit_exceeded,
            &[Kind::StaleRead, Kind::WrongLimit],
        ),
        of("wrong order of keys", wrong_order, &[Kind::WrongLimit]),
        of("torn transaction", torn, &[Kind::WrongAnswer]),
        of("wrong past", wrong_past, &[Kind::WrongValue]),
        of(
            "read below compaction",
            below_compaction,
            &[Kind::ReadBelowCompaction],
        ),
        of(
            "compacted too early",
            compacted_early,
            &[Kind::CompactedEarly],
        ),
        of(
            "future that was past",
            wrong_future,
            &[Kind::WrongFutureError],
        ),
        of("compacted twice", compacted_twice, &[Kind::WrongCompaction]),
    ]
}

fn pair(history: &mut History, rng: &mut StdRng, change: fn(&mut KeyValue)) -> bool {
    let at = pick(&history.operations, rng, |read| {
        is_current_read(read) && has_values(read) && !pairs(read).is_empty()
    });
    let Some(at) = at else { return false };
    change(&mut pairs_mut(&mut history.operations[at])[0]);
    true
}

fn previous(operation: &Operation) -> bool {
    let answer = operation.result.as_ref().map(|result| &result.answer);
    matches!(answer, Some(Answer::Put { prev_kv: Some(_) }))
}

fn missing_previous(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = pick(&history.operations, rng, previous) else {
        return false;
    };
    *answer(&mut history.operations[at]) = Answer::Put { prev_kv: None };
    true
}

fn wrong_previous(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = pick(&history.operations, rng, previous) else {
        return false;
    };
    if let Answer::Put { prev_kv: Some(kv) } = answer(&mut history.operations[at]) {
        kv.version += 1;
    }
    true
}

fn unasked_previous(history: &mut History, rng: &mut StdRng) -> bool {
    let at = pick(&history.operations, rng, |write| {
        is_put(write) && matches!(&write.op, Op::Put(put) if !put.prev_kv)
    });
    let Some(at) = at else { return false };
    *answer(&mut history.operations[at]) = Answer::Put {
        prev_kv: Some(KeyValue::default()),
    };
    true
}

fn wrong_deleted(history: &mut History, rng: &mut StdRng) -> bool {
    let some = |answer: &Answer| matches!(answer, Answer::Delete { deleted, .. } if *deleted > 0);
    let at = pick(&history.operations, rng, |operation| {
        operation
            .result
            .as_ref()
            .is_some_and(|result| some(&result.answer))
    });
    let Some(at) = at else { return false };
    if let Answer::Delete { deleted, .. } = answer(&mut history.operations[at]) {
        *deleted += 1;
    }
    true
}

fn wrong_count(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = pick(&history.operations, rng, is_current_read) else {
        return false;
    };
    if let Answer::Range { count, .. } = answer(&mut history.operations[at]) {
        *count += 1;
    }
    true
}

fn wrong_more(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = pick(&history.operations, rng, is_current_read) else {
        return false;
    };
    if let Answer::Range { more, .. } = answer(&mut history.operations[at]) {
        *more = !*more;
    }
    true
}

fn limit_exceeded(history: &mut History, rng: &mut StdRng) -> bool {
    let limited = |answer: &Answer| matches!(answer, Answer::Range { more: true, .. });
    let at = pick(&history.operations, rng, |operation| {
        operation
            .result
            .as_ref()
            .is_some_and(|result| limited(&result.answer))
    });
    let Some(at) = at else { return false };
    let kvs = pairs_mut(&mut history.operations[at]);
    let again = kvs[0].clone();
    kvs.push(again);
    true
}

fn wrong_order(history: &mut History, rng: &mut StdRng) -> bool {
    let at = pick(&history.operations, rng, |read| {
        is_current_read(read) && pairs(read).len() > 1
    });
    let Some(at) = at else { return false };
    pairs_mut(&mut history.operations[at]).reverse();
    true
}

fn torn(history: &mut History, rng: &mut StdRng) -> bool {
    let many =
        |answer: &Answer| matches!(answer, Answer::Txn { responses, .. } if responses.len() > 1);
    let at = pick(&history.operations, rng, |operation| {
        operation
            .result
            .as_ref()
            .is_some_and(|result| many(&result.answer))
    });
    let Some(at) = at else { return false };
    if let Answer::Txn { responses, .. } = answer(&mut history.operations[at]) {
        responses.pop();
    }
    true
}

fn reads_past(operation: &Operation) -> bool {
    matches!(&operation.op, Op::Range(range) if range.revision > 0)
}

fn wrong_past(history: &mut History, rng: &mut StdRng) -> bool {
    let at = pick(&history.operations, rng, |read| {
        is_ok(read) && reads_past(read) && has_values(read) && !pairs(read).is_empty()
    });
    let Some(at) = at else { return false };
    pairs_mut(&mut history.operations[at])[0].value = "other".into();
    true
}

/// Compactions acknowledged before a moment.
fn compacted(history: &History, before: u64) -> i64 {
    let done = history.operations.iter().filter(|operation| {
        is_ok(operation) && operation.returned.is_some_and(|returned| returned < before)
    });
    let revisions = done.filter_map(|operation| match operation.op {
        Op::Compact { revision } => Some(revision),
        _ => None,
    });
    revisions.max().unwrap_or(0)
}

fn below_compaction(history: &mut History, rng: &mut StdRng) -> bool {
    let known = history.clone();
    let at = pick(&history.operations, rng, |read| {
        is_current_read(read) && compacted(&known, read.call) > 1
    });
    let Some(at) = at else { return false };
    let revision = compacted(&known, history.operations[at].call) - 1;
    if let Op::Range(range) = &mut history.operations[at].op {
        range.revision = revision;
    }
    true
}

fn fail(operation: &mut Operation, kind: FailureKind) {
    operation.outcome = Outcome::Fail;
    operation.result = None;
    operation.error = Some(Failure {
        kind,
        text: String::new(),
    });
}

fn compacted_early(history: &mut History, rng: &mut StdRng) -> bool {
    // More than any compaction that may have been under way.
    let highest = |time: Option<u64>| {
        let asked = history.operations.iter().filter(|o| Some(o.call) <= time);
        let revisions = asked.filter_map(|operation| match operation.op {
            Op::Compact { revision } => Some(revision),
            _ => None,
        });
        revisions.max().unwrap_or(0)
    };
    let at = pick(&history.operations, rng, |read| {
        let asks = matches!(&read.op, Op::Range(r) if r.revision >= highest(read.returned));
        is_ok(read) && reads_past(read) && asks
    });
    let Some(at) = at else { return false };
    fail(&mut history.operations[at], FailureKind::Compacted);
    true
}

fn wrong_future(history: &mut History, rng: &mut StdRng) -> bool {
    let all = history.operations.clone();
    let at = pick(&history.operations, rng, |read| {
        let Op::Range(range) = &read.op else {
            return false;
        };
        reads_past(read)
            && is_ok(read)
            && all
                .iter()
                .any(|o| o.returned < Some(read.call) && revision(o) >= range.revision)
    });
    let Some(at) = at else { return false };
    fail(&mut history.operations[at], FailureKind::FutureRevision);
    true
}

fn compacted_twice(history: &mut History, rng: &mut StdRng) -> bool {
    let known = history.clone();
    let at = pick(&history.operations, rng, |operation| {
        is_ok(operation)
            && matches!(operation.op, Op::Compact { .. })
            && compacted(&known, operation.call) > 0
    });
    let Some(at) = at else { return false };
    let revision = compacted(&known, history.operations[at].call);
    history.operations[at].op = Op::Compact { revision };
    true
}
