//! Reads of single objects.

use std::collections::HashMap;

use crate::history::Outcome;
use crate::verdict::{Anomaly, AnomalyKind, Report};

use super::history::{ApiHistory, Ask, Call, Verb};
use super::moments::Moments;
use super::truth::Truth;
use super::writes::difference;

const NOT_FOUND: u16 = 404;

pub(super) fn check(history: &ApiHistory, truth: &Truth<'_>, moments: &Moments) -> Report {
    let mut report = Report::new("reads");
    let shown = Shown::new(history);
    for call in &history.calls {
        let answered = call.outcome == Outcome::Ok || call.status == NOT_FOUND;
        if call.verb != Verb::Get || !answered {
            continue;
        }
        let Some(returned) = call.returned else {
            continue;
        };
        report.count("reads", 1);
        let low = match call.ask {
            Ask::Consistent => moments.floor(call.call),
            Ask::NotOlder(version) | Ask::Exact(version) => version.max(shown.floor(call)),
            Ask::Any => shown.floor(call),
        };
        let high = moments.ceiling(returned);
        if let Some(seen) = &call.seen
            && let Some(text) = difference(&call.key, seen, truth)
        {
            let anomaly = Anomaly::new(AnomalyKind::WrongValue, text);
            report.found(anomaly.op(call.id).at(seen.version));
            continue;
        }
        if let Some(anomaly) = misplaced(call, low, high, truth) {
            report.found(anomaly.op(call.id));
        }
    }
    report
}

/// An answer that was true at no moment from `low` to `high`.
fn misplaced(call: &Call, low: i64, high: i64, truth: &Truth<'_>) -> Option<Anomaly> {
    let key = &call.key;
    let stale = |text: String| Some(Anomaly::new(AnomalyKind::StaleRead, text));
    let Some(seen) = &call.seen else {
        let absent_before = truth.state(key, low).is_none();
        let deleted = truth.of(key).iter().any(|change| {
            change.after.is_none() && change.revision > low && change.revision <= high
        });
        return match absent_before || deleted {
            true => None,
            false => stale(format!("{key} was not found, but was there since {low}")),
        };
    };
    if let Some(next) = truth.after(key, seen.version)
        && next.revision <= low
    {
        let text = format!(
            "{key} was read at version {}, but {} followed and {low} was known before the call",
            seen.version, next.revision
        );
        return stale(text);
    }
    (seen.version > high).then(|| {
        let text = format!(
            "{key} was read at version {}, later the store was at {high}",
            seen.version
        );
        Anomaly::new(AnomalyKind::FutureRead, text)
    })
}

/// What the caches of a server had shown on a connection, by resource. Caches of different resources follow the store
/// each at its own pace, so only reads of the same one bound each other.
struct Shown<'a> {
    revisions: HashMap<(u64, &'a str), Vec<(u64, i64)>>,
}

impl<'a> Shown<'a> {
    fn new(history: &'a ApiHistory) -> Self {
        let mut revisions: HashMap<(u64, &str), Vec<(u64, i64)>> = HashMap::new();
        for list in &history.lists {
            if matches!(list.ask, Ask::Exact(_)) {
                continue;
            }
            let of = (list.conn, resource(&list.selection.prefix));
            let told = (list.returned, list.revision);
            revisions.entry(of).or_default().push(told);
        }
        for told in revisions.values_mut() {
            told.sort_unstable();
            let mut greatest = 0;
            for (_, revision) in told {
                greatest = greatest.max(*revision);
                *revision = greatest;
            }
        }
        Self { revisions }
    }

    fn floor(&self, call: &Call) -> i64 {
        let Some(told) = self.revisions.get(&(call.conn, resource(&call.key))) else {
            return 0;
        };
        let at = told.partition_point(|(time, _)| *time <= call.call);
        at.checked_sub(1).map_or(0, |at| told[at].1)
    }
}

/// What a key begins with.
pub(super) fn resource(key: &str) -> &str {
    key.split_once('/').map_or(key, |(resource, _)| resource)
}
