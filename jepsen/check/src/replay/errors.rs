//! Errors that promise something: compacted and future revisions.

use super::time::{Compactions, Known, is_linearizable};
use crate::history::{FailureKind, History, Op, Operation, Outcome};
use crate::verdict::{Anomaly, AnomalyKind, Report};

pub(super) fn check(history: &History, report: &mut Report) {
    let compactions = Compactions::new(history);
    let known = Known::new(history);
    for operation in &history.operations {
        let anomaly = match operation.outcome {
            Outcome::Ok => accepted(operation, &compactions),
            Outcome::Fail => refused(operation, &compactions, &known),
            Outcome::Unknown => None,
        };
        if let Some(anomaly) = anomaly {
            report.found(anomaly.op(operation.id));
        }
    }
}

/// The revision an operation asks for, if it does.
fn asked(op: &Op) -> Option<i64> {
    match op {
        Op::Range(range) if range.revision > 0 => Some(range.revision),
        Op::Compact { revision } => Some(*revision),
        _ => None,
    }
}

fn accepted(operation: &Operation, compactions: &Compactions) -> Option<Anomaly> {
    let wanted = asked(&operation.op)?;
    let result = operation.result.as_ref()?;
    let certain = compactions.certain(operation.call);
    if matches!(operation.op, Op::Compact { .. }) {
        if wanted > result.revision {
            let text = format!(
                "compacted at {wanted} when {} was the newest",
                result.revision
            );
            return Some(Anomaly::new(AnomalyKind::WrongCompaction, text));
        }
        let (compacted, by) = certain.filter(|(compacted, _)| *compacted >= wanted)?;
        let text = format!("compacted at {wanted} although it was already at {compacted}");
        return Some(Anomaly::new(AnomalyKind::WrongCompaction, text).op(by));
    }
    if !is_linearizable(&operation.op) {
        return None;
    }
    let (compacted, by) = certain.filter(|(compacted, _)| *compacted > wanted)?;
    let text = format!("a read at {wanted} was answered although {compacted} was compacted");
    Some(Anomaly::new(AnomalyKind::ReadBelowCompaction, text).op(by))
}

fn refused(operation: &Operation, compactions: &Compactions, known: &Known) -> Option<Anomaly> {
    let wanted = asked(&operation.op)?;
    let kind = operation.error.as_ref()?.kind;
    match kind {
        FailureKind::Compacted => {
            let possible = compactions.possible(operation.returned?);
            let compacting = matches!(operation.op, Op::Compact { .. });
            let right = if compacting {
                wanted <= possible
            } else {
                wanted < possible
            };
            let text = format!("{wanted} is said to be compacted, at most {possible} can be");
            (!right).then(|| Anomaly::new(AnomalyKind::CompactedEarly, text))
        }
        FailureKind::FutureRevision if is_linearizable(&operation.op) => {
            let (newest, by) = known.before(operation.call)?;
            let text = format!("{wanted} is said to be a future revision, {newest} was known");
            (newest >= wanted)
                .then(|| by.name_in(Anomaly::new(AnomalyKind::WrongFutureError, text)))
        }
        _ => None,
    }
}
