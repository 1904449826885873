//! Writes and reads out of order, lost, doubled or from nowhere.

use mainstay_check::AnomalyKind as Kind;
use mainstay_check::History;
use mainstay_check::history::{Answer, Failure, FailureKind, Op, Outcome};
use rand::rngs::StdRng;

use super::{Mutation, answer, is_current_read, is_ok, is_put, pairs, pairs_mut, pick, revision};

pub fn all() -> Vec<Mutation> {
    let of = |name, spoil, found_as| Mutation {
        name,
        spoil,
        found_as,
    };
    vec![
        of("stale read", stale_read, &[Kind::StaleRead]),
        of("stale pair", stale_pair, &[Kind::StaleRead]),
        of("lost write", lost_write, &[Kind::LostWrite]),
        of(
            "write from nowhere",
            forgotten_request,
            &[Kind::PhantomWrite, Kind::PhantomRevision],
        ),
        of(
            "revision used twice",
            revision_twice,
            &[Kind::DuplicateRevision],
        ),
        of("revision goes back", revision_back, &[Kind::RevisionBack]),
        // Requests of unknown outcome are tried as its author, and contradict what is read.
        of(
            "revision skipped",
            revision_skipped,
            &[
                Kind::PhantomRevision,
                Kind::LostWrite,
                Kind::StaleRead,
                Kind::WrongCount,
            ],
        ),
        of("phantom read", phantom_read, &[Kind::PhantomWrite]),
        of(
            "failed write happened",
            aborted_write,
            &[Kind::AbortedWrite],
        ),
        of(
            "lost update",
            lost_update,
            &[Kind::WrongBranch, Kind::DuplicateRevision],
        ),
        of("read of the future", future_read, &[Kind::FutureRead]),
        of(
            "write without effect",
            no_effect,
            &[Kind::NoWrite, Kind::DuplicateRevision],
        ),
        of(
            "write acknowledged as none",
            hidden_effect,
            &[Kind::NoWrite, Kind::PhantomRevision],
        ),
        of("replicas differ", replicas_differ, &[Kind::ReplicasDiffer]),
        of("member behind", member_behind, &[Kind::LostWrite]),
        of("panic in a log", panic_logged, &[Kind::LogFinding]),
    ]
}

fn stale_read(history: &mut History, rng: &mut StdRng) -> bool {
    let all = history.operations.clone();
    let at = pick(&history.operations, rng, |read| {
        is_current_read(read)
            && revision(read) > 1
            && all
                .iter()
                .any(|w| is_ok(w) && revision(w) == revision(read) && w.returned < Some(read.call))
    });
    let Some(at) = at else { return false };
    history.operations[at].result.as_mut().unwrap().revision -= 1;
    true
}

fn stale_pair(history: &mut History, rng: &mut StdRng) -> bool {
    let at = pick(&history.operations, rng, |read| {
        is_current_read(read) && pairs(read).first().is_some_and(|kv| kv.version > 1)
    });
    let Some(at) = at else { return false };
    let kv = &mut pairs_mut(&mut history.operations[at])[0];
    kv.modified -= 1;
    kv.version -= 1;
    true
}

fn lost_write(history: &mut History, rng: &mut StdRng) -> bool {
    let at = pick(&history.operations, rng, |read| {
        is_current_read(read) && !pairs(read).is_empty()
    });
    let Some(at) = at else { return false };
    if let Answer::Range { kvs, count, .. } = answer(&mut history.operations[at]) {
        kvs.pop();
        *count -= 1;
    }
    true
}

fn forgotten_request(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = pick(&history.operations, rng, is_put) else {
        return false;
    };
    history.operations.remove(at);
    true
}

fn revision_twice(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(one) = pick(&history.operations, rng, is_put) else {
        return false;
    };
    let taken = revision(&history.operations[one]);
    let other = pick(&history.operations, rng, |write| {
        is_put(write) && revision(write) != taken
    });
    let Some(other) = other else { return false };
    history.operations[other].result.as_mut().unwrap().revision = taken;
    true
}

fn revision_back(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(one) = pick(&history.operations, rng, is_put) else {
        return false;
    };
    let first = history.operations[one].clone();
    let other = pick(&history.operations, rng, |write| {
        is_put(write) && Some(write.call) > first.returned
    });
    let Some(other) = other else { return false };
    let second = revision(&history.operations[other]);
    history.operations[other].result.as_mut().unwrap().revision = revision(&first);
    history.operations[one].result.as_mut().unwrap().revision = second;
    true
}

fn revision_skipped(history: &mut History, _: &mut StdRng) -> bool {
    let last = history.operations.last_mut().unwrap();
    last.result.as_mut().unwrap().revision += 1;
    true
}

fn phantom_read(history: &mut History, rng: &mut StdRng) -> bool {
    let at = pick(&history.operations, rng, |read| {
        is_current_read(read) && !pairs(read).is_empty()
    });
    let Some(at) = at else { return false };
    pairs_mut(&mut history.operations[at])[0].key = "nobody".into();
    true
}

fn aborted_write(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = pick(&history.operations, rng, is_put) else {
        return false;
    };
    let write = &mut history.operations[at];
    write.outcome = Outcome::Fail;
    write.result = None;
    write.error = Some(Failure {
        kind: FailureKind::Other,
        text: String::new(),
    });
    true
}

fn lost_update(history: &mut History, rng: &mut StdRng) -> bool {
    let failed = |answer: &Answer| {
        matches!(
            answer,
            Answer::Txn {
                succeeded: false,
                ..
            }
        )
    };
    let at = pick(&history.operations, rng, |operation| {
        let simple = matches!(&operation.op, Op::Txn(txn) if txn.then.len() == 1);
        simple
            && operation
                .result
                .as_ref()
                .is_some_and(|result| failed(&result.answer))
    });
    let Some(at) = at else { return false };
    *answer(&mut history.operations[at]) = Answer::Txn {
        succeeded: true,
        responses: vec![Answer::Put { prev_kv: None }],
    };
    true
}

/// The write is called only after a read has seen it.
fn future_read(history: &mut History, rng: &mut StdRng) -> bool {
    let all = history.operations.clone();
    let sees = |write: &mainstay_check::history::Operation| {
        all.iter().find(|read| {
            is_current_read(read) && revision(read) == revision(write) && read.id != write.id
        })
    };
    let at = pick(&history.operations, rng, |write| {
        is_put(write) && sees(write).is_some()
    });
    let Some(at) = at else { return false };
    let after = sees(&history.operations[at]).unwrap().returned.unwrap() + 1;
    history.operations[at].call = after;
    history.operations[at].returned = Some(after + 1);
    true
}

fn no_effect(history: &mut History, rng: &mut StdRng) -> bool {
    let none = |answer: &Answer| matches!(answer, Answer::Delete { deleted: 0, .. });
    let at = pick(&history.operations, rng, |operation| {
        operation
            .result
            .as_ref()
            .is_some_and(|result| none(&result.answer))
    });
    let Some(at) = at else { return false };
    *answer(&mut history.operations[at]) = Answer::Delete {
        deleted: 1,
        prev_kvs: Vec::new(),
    };
    true
}

fn hidden_effect(history: &mut History, rng: &mut StdRng) -> bool {
    let some = |answer: &Answer| matches!(answer, Answer::Delete { deleted, .. } if *deleted > 0);
    let at = pick(&history.operations, rng, |operation| {
        operation
            .result
            .as_ref()
            .is_some_and(|result| some(&result.answer))
    });
    let Some(at) = at else { return false };
    let delete = &mut history.operations[at];
    delete.result.as_mut().unwrap().revision -= 1;
    *answer(delete) = Answer::Delete {
        deleted: 0,
        prev_kvs: Vec::new(),
    };
    true
}

fn replicas_differ(history: &mut History, _: &mut StdRng) -> bool {
    history.members[1].hash += 1;
    true
}

fn member_behind(history: &mut History, _: &mut StdRng) -> bool {
    history.members[2].revision -= 1;
    true
}

fn panic_logged(history: &mut History, _: &mut StdRng) -> bool {
    history.logs.push(mainstay_check::history::LogFinding {
        member: 1,
        time: 5,
        level: mainstay_check::history::LogLevel::Panic,
        text: "index out of bounds".into(),
        expected: false,
    });
    true
}
