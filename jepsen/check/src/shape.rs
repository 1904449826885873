//! Whether a history keeps the rules of recording, on which every checker relies.

use std::collections::{HashMap, HashSet};

use crate::history::{Answer, History, Op, OpResult, Operation, Outcome, TxnOp, WatchNews};
use crate::limits::BAD_LINES_MAX;
use crate::verdict::HarnessFault;

pub fn check(history: &History) -> Vec<HarnessFault> {
    let mut faults = Vec::new();
    let mut ids = HashSet::new();
    for operation in &history.operations {
        if !ids.insert(operation.id) {
            faults.push(format!("operation {}: the id is used twice", operation.id));
        }
        if let Some(fault) = one(operation) {
            faults.push(format!("operation {}: {fault}", operation.id));
        }
    }
    overlaps(history, &mut faults);
    watches(history, &mut faults);
    faults.truncate(BAD_LINES_MAX);
    faults.into_iter().map(HarnessFault::Malformed).collect()
}

fn one(operation: &Operation) -> Option<&'static str> {
    if operation
        .returned
        .is_some_and(|returned| returned < operation.call)
    {
        return Some("it returned before it was called");
    }
    if !is_request(&operation.op, true) {
        return Some("a transaction has a step that is not about pairs");
    }
    match (operation.outcome, &operation.result) {
        (Outcome::Ok, Some(result)) if !matches(&operation.op, result) => {
            Some("the result is of another kind than the request")
        }
        (Outcome::Ok, Some(_)) if operation.returned.is_none() => {
            Some("it is ok but has no time of return")
        }
        (Outcome::Ok, Some(_)) => None,
        (Outcome::Ok, None) => Some("it is ok but has no result"),
        (_, Some(_)) => Some("it has a result but is not ok"),
        (_, None) => None,
    }
}

fn is_request(op: &Op, top: bool) -> bool {
    match op {
        Op::Txn(TxnOp {
            then, otherwise, ..
        }) => then
            .iter()
            .chain(otherwise)
            .all(|step| is_request(step, false)),
        Op::Range(_) | Op::Put(_) | Op::Delete(_) => true,
        _ => top,
    }
}

fn matches(op: &Op, result: &OpResult) -> bool {
    matches!(
        (op, &result.answer),
        (Op::Range(_), Answer::Range { .. })
            | (Op::Put(_), Answer::Put { .. })
            | (Op::Delete(_), Answer::Delete { .. })
            | (Op::Txn(_), Answer::Txn { .. })
            | (Op::Compact { .. }, Answer::Compact)
            | (Op::LeaseGrant(_), Answer::LeaseGrant { .. })
            | (Op::LeaseRevoke { .. }, Answer::LeaseRevoke)
            | (Op::LeaseKeepAlive { .. }, Answer::LeaseKeepAlive { .. })
            | (Op::LeaseTtl { .. }, Answer::LeaseTtl { .. })
            | (Op::HashKv { .. }, Answer::HashKv { .. })
    )
}

/// One operation at a time, and none after an unknown outcome.
fn overlaps(history: &History, faults: &mut Vec<String>) {
    let mut clients: HashMap<u32, Vec<&Operation>> = HashMap::new();
    for operation in &history.operations {
        clients.entry(operation.client).or_default().push(operation);
    }
    for (client, mut operations) in clients {
        operations.sort_by_key(|operation| (operation.call, operation.returned));
        for pair in operations.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            if first.outcome == Outcome::Unknown {
                faults.push(format!(
                    "client {client} went on with operation {} after the unknown outcome of {}",
                    second.id, first.id
                ));
            } else if first
                .returned
                .is_some_and(|returned| returned > second.call)
            {
                faults.push(format!(
                    "operations {} and {} of client {client} overlap",
                    first.id, second.id
                ));
            }
        }
    }
}

fn watches(history: &History, faults: &mut Vec<String>) {
    let mut known = HashSet::new();
    let mut times: HashMap<u64, u64> = HashMap::new();
    for record in &history.watches {
        let watch = record.watch;
        if known.insert(watch) && record.request.is_none() {
            faults.push(format!("watch {watch}: its first record has no request"));
        }
        let last = times.entry(watch).or_default();
        if record.time < *last {
            faults.push(format!("watch {watch}: records out of order of time"));
        }
        *last = record.time;
        if matches!(&record.news, WatchNews::Events(events) if events.is_empty()) {
            faults.push(format!("watch {watch}: events without events"));
        }
    }
}
