//! Sets, as Jepsen's set-full judges them: an element that is known to be there stays there.
//!
//! Uses no revisions, so that it does not share the replay's assumptions.

use std::collections::{BTreeMap, HashSet};

use crate::history::{Answer, Blob, History, Op, Operation, Outcome, RangeOp};
use crate::verdict::{Anomaly, AnomalyKind, Report};

/// One element of a set.
struct Element {
    called: u64,
    add: u64,
    failed: bool,
    /// When it was first known to be there.
    known: u64,
    /// Reads called after that without it; the last read with it.
    missed: Vec<(u64, u64)>,
    last_seen: u64,
}

pub(crate) fn check(history: &History) -> Report {
    let mut report = Report::new("sets");
    for prefix in &history.run.sets {
        check_set(history, prefix, &mut report);
    }
    report
}

fn check_set(history: &History, prefix: &Blob, report: &mut Report) {
    let mut elements = adds(history, prefix);
    report.count("elements", elements.len());
    let mut reads: Vec<_> = history
        .operations
        .iter()
        .filter_map(|operation| Some((operation, whole(operation, prefix)?)))
        .collect();
    reads.sort_by_key(|(operation, _)| operation.call);
    report.count("reads", reads.len());
    for (read, keys) in &reads {
        saw(read, keys, &mut elements, report);
    }
    for (read, keys) in &reads {
        let linearizable = matches!(&read.op, Op::Range(range) if !range.serializable);
        if linearizable {
            missed(read, keys, &mut elements);
        }
    }
    for (key, element) in &elements {
        tell(key, element, report);
    }
}

fn adds(history: &History, prefix: &Blob) -> BTreeMap<Blob, Element> {
    let mut elements = BTreeMap::new();
    for operation in &history.operations {
        let Op::Put(put) = &operation.op else {
            continue;
        };
        if !put.key.starts_with(prefix) {
            continue;
        }
        let known = match (operation.outcome, operation.returned) {
            (Outcome::Ok, Some(returned)) => returned,
            _ => u64::MAX,
        };
        elements.insert(
            put.key.clone(),
            Element {
                called: operation.call,
                add: operation.id,
                failed: operation.outcome == Outcome::Fail,
                known,
                missed: Vec::new(),
                last_seen: 0,
            },
        );
    }
    elements
}

/// The keys of a read of the whole set.
fn whole<'h>(operation: &'h Operation, prefix: &Blob) -> Option<Vec<&'h Blob>> {
    let Op::Range(RangeOp {
        key,
        end,
        limit: 0,
        revision: 0,
        count_only: false,
        ..
    }) = &operation.op
    else {
        return None;
    };
    let reaches = **end == [0] || (!end.starts_with(prefix) && **end > **prefix);
    if **key > **prefix || !reaches {
        return None;
    }
    let Answer::Range { kvs, .. } = &operation.result.as_ref()?.answer else {
        return None;
    };
    let keys = kvs.iter().map(|kv| &kv.key);
    Some(keys.filter(|key| key.starts_with(prefix)).collect())
}

fn saw(
    read: &Operation,
    keys: &[&Blob],
    elements: &mut BTreeMap<Blob, Element>,
    report: &mut Report,
) {
    let returned = read.returned.unwrap_or(u64::MAX);
    let mut once = HashSet::new();
    for key in keys {
        if !once.insert(*key) {
            let text = format!("{key:?} twice in one read");
            report.found(Anomaly::new(AnomalyKind::SetDuplicate, text).op(read.id));
        }
        match elements.get_mut(*key) {
            Some(element) if !element.failed && element.called <= returned => {
                element.known = element.known.min(returned);
                element.last_seen = element.last_seen.max(read.call);
            }
            Some(element) => {
                let text = format!("{key:?} is there, but its add failed or came later");
                report.found(
                    Anomaly::new(AnomalyKind::SetPhantom, text)
                        .op(element.add)
                        .op(read.id),
                );
            }
            None => {
                let text = format!("{key:?} was never added");
                report.found(Anomaly::new(AnomalyKind::SetPhantom, text).op(read.id));
            }
        }
    }
}

fn missed(read: &Operation, keys: &[&Blob], elements: &mut BTreeMap<Blob, Element>) {
    let there: HashSet<&Blob> = keys.iter().copied().collect();
    for (key, element) in elements {
        if element.known < read.call && !there.contains(key) {
            element.missed.push((read.call, read.id));
        }
    }
}

fn tell(key: &Blob, element: &Element, report: &mut Report) {
    let Some((last, read)) = element.missed.last() else {
        return;
    };
    let (kind, what) = if *last > element.last_seen {
        (AnomalyKind::SetLost, "is gone for good")
    } else {
        (AnomalyKind::SetStale, "was missing for a while")
    };
    let text = format!("{key:?} {what} in {} reads", element.missed.len());
    report.found(Anomaly::new(kind, text).op(element.add).op(*read));
}
