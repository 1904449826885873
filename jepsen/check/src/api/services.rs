//! Addresses and ports of services.

use std::collections::{BTreeMap, HashMap};

use crate::verdict::{Anomaly, AnomalyKind, Report};

use super::truth::Truth;

/// Where services are.
const SERVICES: &str = "services/specs/";
/// Where a reserved address is, as an object of its own.
const ADDRESSES: &str = "ipaddresses/";

pub(super) fn check(truth: &Truth<'_>) -> Report {
    let mut report = Report::new("services");
    let mut owners: HashMap<String, &str> = HashMap::new();
    let mut held: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for change in &truth.changes {
        let Some(_) = change.key.strip_prefix(SERVICES) else {
            continue;
        };
        let key = change.key.as_str();
        let now: Vec<String> = change.after.iter().flat_map(taken).collect();
        for one in held.remove(key).unwrap_or_default() {
            if !now.contains(&one) && owners.get(&one) == Some(&key) {
                owners.remove(&one);
            }
        }
        for one in &now {
            report.count("reservations", 1);
            match owners.insert(one.clone(), key) {
                Some(other) if other != key => {
                    let text = format!("{key} got {one}, which {other} has");
                    let anomaly = Anomaly::new(AnomalyKind::DoubleOwner, text);
                    report.found(anomaly.at(change.revision));
                }
                _ => {}
            }
        }
        unreserved(change.revision, key, &now, truth, &mut report);
        held.insert(key, now);
    }
    report
}

fn taken(state: &super::history::State) -> impl Iterator<Item = String> + use<> {
    let ports: Vec<String> = state
        .ports
        .iter()
        .map(|port| format!("port {port}"))
        .collect();
    state.addresses.clone().into_iter().chain(ports)
}

/// An address that a service has is reserved by an object of its own, for as long as the service has it.
fn unreserved(revision: i64, key: &str, now: &[String], truth: &Truth<'_>, report: &mut Report) {
    for address in now.iter().filter(|one| !one.starts_with("port ")) {
        let claim = format!("{ADDRESSES}{address}");
        if truth.state(&claim, revision).is_none() {
            let text = format!("{key} has {address}, which is not reserved");
            report.found(Anomaly::new(AnomalyKind::DoubleOwner, text).at(revision));
        }
        let until = truth
            .after(key, revision)
            .map_or(i64::MAX, |next| next.revision - 1);
        let freed = truth.after(&claim, revision);
        if let Some(freed) = freed
            && freed.after.is_none()
            && freed.revision <= until
        {
            let text = format!("{address} was freed while {key} had it");
            report.found(Anomaly::new(AnomalyKind::DoubleOwner, text).at(freed.revision));
        }
    }
}
