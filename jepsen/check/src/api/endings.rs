//! Servers that end in an orderly way fail nobody.

use crate::history::{Fault, Outcome};
use crate::verdict::{Anomaly, AnomalyKind, Report};

use super::history::{ApiHistory, Call};

/// The name of the fault that is no fault.
const TERM: &str = "term";
/// What another fault may still do after it has ended, nanoseconds: elections, connections that are found dead.
const AFTERMATH_NS: u64 = 10_000_000_000;
/// What a server says that has no address or port left, as upstream.
const FULL: &str = "range is full";
/// The least code that blames the server.
const SERVER_ERROR: u16 = 500;

pub(super) fn check(history: &ApiHistory) -> Report {
    let mut report = Report::new("endings");
    let end = |fault: &Fault| fault.end.unwrap_or(u64::MAX);
    for term in history.faults.iter().filter(|fault| fault.name == TERM) {
        let disturbed = history.faults.iter().any(|other| {
            other.name != TERM
                && other.start <= end(term)
                && end(other).saturating_add(AFTERMATH_NS) >= term.start
        });
        if disturbed || term.proof.is_none() {
            report.count("not judged, for other faults", 1);
            continue;
        }
        report.count("endings", 1);
        let its = |call: &&Call| {
            term.targets.contains(&format!("s{}", call.server))
                && call.call <= end(term)
                && call.returned.unwrap_or(u64::MAX) >= term.start
        };
        for call in history.calls.iter().filter(its) {
            report.count("requests during them", 1);
            // Also a 500, but one that says why, and would say so at any time.
            let broken = call.status >= SERVER_ERROR && !call.error.contains(FULL)
                || (call.outcome != Outcome::Ok && call.status == 0 && !call.unsent);
            if broken {
                let text = format!(
                    "{:?} of {} failed while s{} ended in order: {} {}",
                    call.verb, call.key, call.server, call.status, call.error
                );
                let anomaly = Anomaly::new(AnomalyKind::FailedAtEnd, text);
                report.found(anomaly.op(call.id));
            }
        }
    }
    report
}
