//! Whether the run did what it had to do. A run that did not proves nothing, whatever the checkers say.

use std::collections::BTreeMap;

use crate::history::{History, Outcome, WatchNews};
use crate::verdict::HarnessFault;

pub fn check(history: &History) -> Vec<HarnessFault> {
    let demand = &history.run.demand;
    let mut ops = BTreeMap::new();
    let succeeded = history
        .operations
        .iter()
        .filter(|operation| operation.outcome == Outcome::Ok);
    for operation in succeeded {
        *ops.entry(operation.op.kind()).or_insert(0_u64) += 1;
    }
    let mut faults = BTreeMap::new();
    for fault in &history.faults {
        let proven = fault
            .proof
            .as_ref()
            .is_some_and(|proof| !proof.trim().is_empty());
        *faults.entry(fault.name.as_str()).or_insert(0_u64) += u64::from(proven);
    }
    let mut missing = Vec::new();
    let mut want = |what: String, wanted: u64, got: u64| {
        if got < wanted {
            let text = format!("{what}: {got} of at least {wanted}");
            missing.push(HarnessFault::Insufficient(text));
        }
    };
    want("successful operations".into(), 1, ops.values().sum());
    for (kind, wanted) in &demand.ops {
        want(
            format!("{kind:?} operations"),
            *wanted,
            ops.get(kind).copied().unwrap_or(0),
        );
    }
    for (name, wanted) in &demand.faults {
        let got = faults.get(name.as_str()).copied().unwrap_or(0);
        want(format!("{name} faults with proof"), *wanted, got);
    }
    want(
        "watch events".into(),
        demand.watch_events,
        watch_events(history),
    );
    let members = u64::try_from(history.members.len()).unwrap_or(u64::MAX);
    want("members' facts".into(), demand.member_facts, members);
    missing
}

fn watch_events(history: &History) -> u64 {
    let events = history.watches.iter().map(|record| match &record.news {
        WatchNews::Events(events) => events.len(),
        _ => 0,
    });
    u64::try_from(events.sum::<usize>()).unwrap_or(u64::MAX)
}
