//! Whether the run did what it had to do, and whether the witness saw everything.

use std::collections::BTreeMap;

use crate::history::Outcome;
use crate::verdict::HarnessFault;

use super::history::{ApiHistory, Verb};
use super::truth::{Sweep, Truth};

pub(super) fn check(history: &ApiHistory, truth: &Truth<'_>) -> Vec<HarnessFault> {
    let mut found = missing(history);
    if let Some(text) = witness(history, truth) {
        found.push(HarnessFault::Malformed(text));
    }
    let mut ids: Vec<u64> = history.calls.iter().map(|call| call.id).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        found.push(HarnessFault::Malformed("two calls have one id".into()));
    }
    found
}

fn missing(history: &ApiHistory) -> Vec<HarnessFault> {
    let mut missing = Vec::new();
    let mut want = |what: String, wanted: u64, got: u64| {
        if got < wanted {
            let text = format!("{what}: {got} of at least {wanted}");
            missing.push(HarnessFault::Insufficient(text));
        }
    };
    let mut verbs: BTreeMap<Verb, u64> = BTreeMap::new();
    for call in history
        .calls
        .iter()
        .filter(|call| call.outcome == Outcome::Ok)
    {
        *verbs.entry(call.verb).or_default() += 1;
    }
    verbs.insert(Verb::List, history.lists.len() as u64);
    want("successful calls".into(), 1, verbs.values().sum());
    for (verb, wanted) in &history.run.verbs {
        let got = verbs.get(verb).copied().unwrap_or(0);
        want(format!("successful {verb:?} calls"), *wanted, got);
    }
    for (name, wanted) in &history.run.faults {
        let proven = history
            .faults
            .iter()
            .filter(|fault| fault.name == *name && fault.proof.is_some());
        want(
            format!("{name} faults with proof"),
            *wanted,
            proven.count() as u64,
        );
    }
    let events: usize = history
        .informers
        .iter()
        .map(|informer| informer.events.len())
        .sum();
    want(
        "events of informers".into(),
        history.run.events,
        events as u64,
    );
    missing
}

/// What the witness saw must end in what the store holds, or nothing can be judged.
fn witness(history: &ApiHistory, truth: &Truth<'_>) -> Option<String> {
    let twice = truth
        .changes
        .windows(2)
        .find(|pair| pair[0].revision == pair[1].revision && pair[0].key == pair[1].key);
    if let Some(pair) = twice {
        return Some(format!("the witness saw {} twice", pair[0].revision));
    }
    let Some(last) = &history.last else {
        return Some("nobody read everything at the end".into());
    };
    let mut sweep = Sweep::new(truth);
    sweep.to(last.revision);
    let all = super::history::Selection::default();
    let shown: Vec<(String, i64)> = sweep
        .shown(&all)
        .map(|(key, version, _)| (key.to_owned(), version))
        .collect();
    let mut last = last.objects.clone();
    last.sort();
    let (only_seen, only_held): (Vec<_>, Vec<_>) = (
        shown.iter().filter(|one| !last.contains(one)).collect(),
        last.iter().filter(|one| !shown.contains(one)).collect(),
    );
    (shown != last).then(|| {
        format!(
            "the witness and the last read differ: {:?}, {:?}",
            only_seen.first(),
            only_held.first()
        )
    })
}
