//! The search of Wing and Gong with Lowe's memory, key by key.
//!
//! Looks at values, versions and counts, and at revisions only where a guard compares them; it decides
//! what revisions cannot and shows that the replay is not blind. Requests that touch several keys are
//! judged by what they say of each one (a history is linearizable only if each of its keys is); transactions
//! that guard one key and write another are left out together with the keys they write.

mod register;
mod search;

use std::time::{Duration, Instant};

use self::register::{Registers, Steps};
use self::search::{Outcome, search};
use crate::history::History;
use crate::verdict::{Anomaly, AnomalyKind, Report};

/// Searches all keys; those left when the time is over are unknown.
pub fn check(history: &History, time: Duration) -> Report {
    let mut report = Report::new("wgl");
    let deadline = Instant::now() + time;
    let Registers { keys, skipped } = Registers::new(history);
    report.count("keys", keys.len());
    if skipped > 0 {
        report.count("keys-left-out", skipped);
        report.notes.push(format!(
            "{skipped} keys left out: they hang on leases or on other keys' guards"
        ));
    }
    // Short ones first: as many as possible are decided.
    let mut keys: Vec<_> = keys.into_iter().collect();
    keys.sort_by_key(|(key, steps)| (steps.answered.len(), key.clone()));
    for (key, steps) in &keys {
        let Steps { answered, open } = steps;
        report.count("operations", answered.len());
        match search(answered, open, deadline) {
            Outcome::Linearizable => {}
            Outcome::Not { stuck } => {
                let text = format!("no order explains the answers about {key:?}");
                report.found(Anomaly::new(AnomalyKind::NotLinearizable, text).ops(stuck));
            }
            Outcome::TooLong(why) => report.unknown.push(format!("{key:?}: {why}")),
        }
    }
    report
}
