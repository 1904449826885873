//! The guarantees of watches, against the replayed log.
//!
//! Filter: every event is in the range and of a wanted kind. Ordered: revisions never fall. Unique: no
//! event twice. Atomic: a revision is never split over responses. Bookmarkable: nothing at or below an
//! earlier progress notification, which itself promises everything up to it. Resumable: the first event is
//! the first there is from the asked revision on. Creation is told rightly, previous pairs are the pairs
//! until then. Reliable: nothing between the first and the last revision is missing. And a watch is only
//! canceled for compaction when it still needs what was compacted.

mod stream;

use std::collections::BTreeMap;

use self::stream::Stream;
use crate::history::{History, WatchNews, WatchRecord};
use crate::replay::{Compactions, Log};
use crate::verdict::{Anomaly, AnomalyKind, Report};

pub(crate) fn check(history: &History, log: &Log) -> Report {
    let mut report = Report::new("watches");
    let mut watches: BTreeMap<u64, Vec<&WatchRecord>> = BTreeMap::new();
    for record in &history.watches {
        watches.entry(record.watch).or_default().push(record);
    }
    report.count("watches", watches.len());
    let compactions = Compactions::new(history);
    let ambiguous = |revision: &i64| log.entry(*revision).is_some_and(|entry| entry.ambiguous);
    let doubtful_from = (1..=log.last()).find(ambiguous);
    for (watch, records) in watches {
        let Some(request) = records.first().and_then(|record| record.request.as_deref()) else {
            report
                .unknown
                .push(format!("watch {watch}: its first record has no request"));
            continue;
        };
        let mut stream = Stream::new(watch, request, log, &compactions);
        for record in records {
            if let WatchNews::Events(events) = &record.news {
                report.count("events", events.len());
            }
            stream.receive(record);
        }
        for anomaly in stream.anomalies {
            tell(anomaly, doubtful_from, &mut report);
        }
    }
    report
}

/// What rests on a log in which a revision has several possible authors proves nothing.
fn tell(anomaly: Anomaly, doubtful_from: Option<i64>, report: &mut Report) {
    let contents = matches!(
        anomaly.kind,
        AnomalyKind::WatchLost
            | AnomalyKind::WatchWrong
            | AnomalyKind::WatchPrevKv
            | AnomalyKind::WatchCreate
    );
    let doubtful = doubtful_from
        .zip(anomaly.revision)
        .is_some_and(|(from, at)| from <= at);
    if contents && doubtful {
        report.unknown.push(format!("not decided: {anomaly}"));
    } else {
        report.found(anomaly);
    }
}
