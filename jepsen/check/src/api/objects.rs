//! What holds of every object at all times.

use std::collections::HashMap;

use crate::verdict::{Anomaly, AnomalyKind, Report};

use super::truth::Truth;

pub(super) fn check(truth: &Truth<'_>) -> Report {
    let mut report = Report::new("objects");
    let mut uids: HashMap<&str, &str> = HashMap::new();
    report.count("changes", truth.changes.len());
    for (key, changes) in truth.keys() {
        report.count("objects", 1);
        let mut alive: Option<&str> = None;
        let mut epoch = None;
        for change in changes {
            let Some(state) = &change.after else {
                alive = None;
                continue;
            };
            let mut wrong = |text: String| {
                let anomaly = Anomaly::new(AnomalyKind::WrongUid, text);
                report.found(anomaly.at(change.revision));
            };
            match alive {
                Some(uid) if uid != state.uid => {
                    wrong(format!("{key} changed from {uid} to {}", state.uid));
                }
                Some(_) => {}
                None if state.uid.is_empty() => {}
                None => {
                    if let Some(other) = uids.insert(&state.uid, key) {
                        wrong(format!("{} is {other} and {key}", state.uid));
                    }
                }
            }
            alive = Some(&state.uid);
            if state.epoch < epoch {
                let text = format!("{key}: {:?} after {epoch:?}", state.epoch);
                let anomaly = Anomaly::new(AnomalyKind::EpochBack, text);
                report.found(anomaly.at(change.revision));
            }
            epoch = epoch.max(state.epoch);
        }
    }
    report
}
