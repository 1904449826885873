//! What was acknowledged happened, what was refused did not, and guards held.

use std::collections::HashMap;

use crate::history::Outcome;
use crate::verdict::{Anomaly, AnomalyKind, Report};

use super::history::{ApiHistory, Call, Seen, Verb};
use super::moments::Moments;
use super::truth::Truth;

pub(super) fn check(history: &ApiHistory, truth: &Truth<'_>, moments: &Moments) -> Report {
    let mut report = Report::new("writes");
    let tokens = tokens(truth, &mut report);
    for call in &history.calls {
        if matches!(call.verb, Verb::Get | Verb::List) {
            continue;
        }
        let happened = call
            .token
            .as_deref()
            .and_then(|token| tokens.get(token))
            .copied();
        match call.outcome {
            Outcome::Ok => acknowledged(call, happened, truth, moments, &mut report),
            Outcome::Fail => {
                report.count("refused", 1);
                if let Some((_, revision)) = happened {
                    let text = format!("{} was refused ({}) and written", call.key, call.status);
                    report.found(
                        Anomaly::new(AnomalyKind::AbortedWrite, text)
                            .op(call.id)
                            .at(revision),
                    );
                }
            }
            Outcome::Unknown => {
                report.count("unknown", 1);
                report.count("unknown that happened", usize::from(happened.is_some()));
            }
        }
        if let Some((key, revision)) = happened {
            guards(call, key, revision, truth, &mut report);
        }
    }
    report
}

type Tokens<'a> = HashMap<&'a str, (&'a str, i64)>;

/// Where each token was written first. A token that comes back was written twice.
fn tokens<'a>(truth: &Truth<'a>, report: &mut Report) -> Tokens<'a> {
    let mut first: Tokens<'a> = HashMap::new();
    for (key, changes) in truth.keys() {
        let mut before: &[String] = &[];
        for change in changes {
            let now = change.after.as_ref().map_or(&[][..], |state| &state.tokens);
            for token in now.iter().filter(|token| !before.contains(token)) {
                if let Some((_, earlier)) = first.insert(token, (key, change.revision)) {
                    let text = format!("{key}: one write at revision {earlier} and again");
                    let anomaly = Anomaly::new(AnomalyKind::DuplicateRevision, text);
                    report.found(anomaly.at(change.revision));
                }
            }
            before = now;
        }
    }
    first
}

fn acknowledged(
    call: &Call,
    happened: Option<(&str, i64)>,
    truth: &Truth<'_>,
    moments: &Moments,
    report: &mut Report,
) {
    report.count("acknowledged", 1);
    if call.verb == Verb::Delete {
        deleted(call, truth, moments, report);
        return;
    }
    let Some(seen) = &call.seen else { return };
    let mut wrong = |kind, text: String| {
        report.found(Anomaly::new(kind, text).op(call.id).at(seen.version));
    };
    match happened {
        None if call.token.is_some() => {
            wrong(
                AnomalyKind::LostWrite,
                format!("{} is not in the store", call.key),
            );
            return;
        }
        Some((_, revision)) if revision != seen.version => {
            let text = format!(
                "{} was written at {revision}, which was not answered",
                call.key
            );
            wrong(AnomalyKind::LostWrite, text);
        }
        _ => {}
    }
    if let Some(text) = difference(&call.key, seen, truth) {
        wrong(AnomalyKind::WrongValue, text);
    }
    let returned = call.returned.unwrap_or(u64::MAX);
    let (floor, ceiling) = (moments.floor(call.call), moments.ceiling(returned));
    if seen.version <= floor {
        let text = format!(
            "{} was written although {floor} had been told before the call",
            call.key
        );
        wrong(AnomalyKind::RevisionBack, text);
    }
    if seen.version > ceiling {
        let text = format!("a later write got {}", ceiling + 1);
        wrong(AnomalyKind::RevisionBack, text);
    }
    if call.verb == Verb::Create {
        let before = truth.state(&call.key, seen.version - 1);
        if let Some((version, _)) = before {
            let text = format!("{} was created although it existed at {version}", call.key);
            wrong(AnomalyKind::WrongCreate, text);
        }
    }
}

/// What is wrong with an object that somebody was shown.
pub(super) fn difference(key: &str, seen: &Seen, truth: &Truth<'_>) -> Option<String> {
    let change = truth.exactly(key, seen.version);
    match change.and_then(|change| change.after.as_ref()) {
        None => Some(format!("{key} never was at version {}", seen.version)),
        Some(state) if state.uid != seen.uid => Some(format!(
            "{key} is shown with uid {}, it is {}",
            seen.uid, state.uid
        )),
        Some(state) if state.digest != seen.digest => {
            Some(format!("{key} is shown with other contents"))
        }
        Some(_) => None,
    }
}

/// Whoever is told that an object is gone, or going, must not find it alive later.
fn deleted(call: &Call, truth: &Truth<'_>, moments: &Moments, report: &mut Report) {
    let returned = call.returned.unwrap_or(u64::MAX);
    let (floor, ceiling) = (moments.floor(call.call), moments.ceiling(returned));
    let is_gone = |after: Option<&super::history::State>| after.is_none_or(|state| state.deleting);
    let at_call = truth.upto(&call.key, floor);
    let was_gone = at_call.is_none_or(|change| is_gone(change.after.as_ref()));
    let since = truth
        .of(&call.key)
        .iter()
        .filter(|change| change.revision > floor && change.revision <= ceiling);
    if !was_gone && !since.clone().any(|change| is_gone(change.after.as_ref())) {
        let text = format!(
            "{} was deleted, but stayed from {floor} to {ceiling}",
            call.key
        );
        report.found(Anomaly::new(AnomalyKind::LostWrite, text).op(call.id));
    }
    let alive = truth.state(&call.key, ceiling);
    if let (Some(uid), Some((version, state))) = (&call.uid, alive)
        && state.uid == *uid
        && !state.deleting
    {
        let text = format!("{} ({uid}) is still there after its deletion", call.key);
        report.found(
            Anomaly::new(AnomalyKind::LostWrite, text)
                .op(call.id)
                .at(version),
        );
    }
    if let Some(named) = call.named {
        let next = truth.after(&call.key, named);
        if next.is_none_or(|change| !is_gone(change.after.as_ref())) {
            let text = format!(
                "{} was deleted at version {named}, but something else followed that",
                call.key
            );
            report.found(
                Anomaly::new(AnomalyKind::UnguardedUpdate, text)
                    .op(call.id)
                    .at(named),
            );
        }
    }
}

/// A write that named a version succeeds that version.
fn guards(call: &Call, key: &str, revision: i64, truth: &Truth<'_>, report: &mut Report) {
    let before = truth.upto(key, revision - 1);
    if let Some(named) = call.named {
        report.count("guarded", 1);
        let found = before.map_or(0, |change| change.revision);
        if found != named {
            let text = format!("{key}: the write named version {named}, but succeeded {found}");
            report.found(
                Anomaly::new(AnomalyKind::UnguardedUpdate, text)
                    .op(call.id)
                    .at(revision),
            );
        }
    }
}
