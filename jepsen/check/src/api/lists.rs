//! Lists: one state of the store, whole.

use std::collections::HashMap;

use crate::verdict::{Anomaly, AnomalyKind, Report};

use super::history::{ApiHistory, Ask, Item, Listed};
use super::moments::Moments;
use super::reads::resource;
use super::truth::{Sweep, Truth};

pub(super) fn check(history: &ApiHistory, truth: &Truth<'_>, moments: &Moments) -> Report {
    let mut report = Report::new("lists");
    for list in &history.lists {
        report.count("lists", 1);
        report.count("objects", list.items.len());
        report.count("pages", list.pages as usize);
        revision(list, moments, &mut report);
    }
    back(history, &mut report);
    let mut ordered: Vec<&Listed> = history.lists.iter().collect();
    ordered.sort_by_key(|list| list.revision);
    let mut sweep = Sweep::new(truth);
    for list in ordered {
        sweep.to(list.revision);
        let wanted: Vec<_> = sweep.shown(&list.selection).collect();
        let wanted: Vec<Item> = wanted
            .into_iter()
            .map(|(key, version, state)| Item {
                key: key.to_owned(),
                version,
                digest: state.digest,
            })
            .collect();
        contents(list, &wanted, &mut report);
    }
    report
}

fn revision(list: &Listed, moments: &Moments, report: &mut Report) {
    let at = list.revision;
    let wrong = match list.ask {
        Ask::Consistent => {
            let floor = moments.floor(list.call);
            (at < floor).then(|| format!("{floor} had been told before the call"))
        }
        Ask::NotOlder(version) => (at < version).then(|| format!("{version} was asked for")),
        Ask::Exact(version) => (at != version).then(|| format!("exactly {version} was asked for")),
        Ask::Any => None,
    };
    if let Some(why) = wrong {
        let text = format!("a list of {} is of {at}, but {why}", list.selection.prefix);
        report.found(
            Anomaly::new(AnomalyKind::StaleRead, text)
                .op(list.id)
                .at(at),
        );
    }
    let ceiling = moments.ceiling(list.returned);
    if at > ceiling {
        let text = format!("a list is of {at}, later the store was at {ceiling}");
        report.found(
            Anomaly::new(AnomalyKind::FutureRead, text)
                .op(list.id)
                .at(at),
        );
    }
}

/// On one connection a server's cache does not go back.
fn back(history: &ApiHistory, report: &mut Report) {
    let mut lists: Vec<&Listed> = history
        .lists
        .iter()
        .filter(|list| !matches!(list.ask, Ask::Exact(_)))
        .collect();
    lists.sort_by_key(|list| list.call);
    let mut newest: HashMap<(u64, &str), (u64, i64)> = HashMap::new();
    for list in lists {
        let of = (list.conn, resource(&list.selection.prefix));
        let known = newest.entry(of).or_insert((0, 0));
        if list.call >= known.0 && list.revision < known.1 {
            let text = format!(
                "a list of {} is of {} after one of {} from the same server",
                list.selection.prefix, list.revision, known.1
            );
            let anomaly = Anomaly::new(AnomalyKind::RevisionBack, text);
            report.found(anomaly.op(list.id).at(list.revision));
        }
        if list.revision > known.1 {
            *known = (list.returned, list.revision);
        }
    }
}

fn contents(list: &Listed, wanted: &[Item], report: &mut Report) {
    let mut wrong = |text: String| {
        let text = format!(
            "the list of {} at {}: {text}",
            list.selection.prefix, list.revision
        );
        report.found(
            Anomaly::new(AnomalyKind::ListBroken, text)
                .op(list.id)
                .at(list.revision),
        );
    };
    if list.torn {
        wrong("its pages are of several revisions".to_owned());
        return;
    }
    // Pages that were not read are no lie.
    let upto = match (list.complete, list.items.last()) {
        (true, _) => wanted.len(),
        (false, Some(last)) => wanted.partition_point(|item| item.key <= last.key),
        (false, None) => 0,
    };
    if let Some(text) = first_difference(&wanted[..upto], &list.items) {
        wrong(text);
        return;
    }
    if let Some(remaining) = list.remaining {
        let follows = (wanted.len() as u64).saturating_sub(list.first);
        if remaining != follows {
            wrong(format!("{remaining} are said to remain, {follows} do"));
        }
    }
}

/// Where two lists in order of keys differ first.
pub(super) fn first_difference(wanted: &[Item], got: &[Item]) -> Option<String> {
    for (at, item) in wanted.iter().enumerate() {
        match got.get(at) {
            Some(found) if found == item => {}
            Some(found) if found.key == item.key && found.version == item.version => {
                return Some(format!("{} has other contents", item.key));
            }
            Some(found) if found.key == item.key => {
                return Some(format!(
                    "{} is at version {} instead of {}",
                    item.key, found.version, item.version
                ));
            }
            Some(found) if found.key < item.key => {
                return Some(format!("{} should not be in it", found.key));
            }
            _ => return Some(format!("{} is missing", item.key)),
        }
    }
    got.get(wanted.len())
        .map(|found| format!("{} should not be in it", found.key))
}
