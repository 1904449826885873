//! What a quota demands of an object before it can be counted.

use super::evaluator::{Evaluator, measured_names};
use super::usage::of_compute;
use crate::limits::pod_totals::is_pod_level_set;
use crate::quantities::amounts;
use crate::value::{entry, list, text};
use mainstay_machinery::meta::name;
use mainstay_schema::Resource;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What every container must set where a quota limits it. Upstream regrets the rule and adds nothing to it.
const SET_BY_CONTAINERS: [&str; 6] = [
    "cpu",
    "limits.cpu",
    "limits.memory",
    "memory",
    "requests.cpu",
    "requests.memory",
];

/// Checks that an object can be counted by a quota that is for it: its containers set what the quota
/// limits, and the quota's own usage is known.
///
/// # Errors
/// `failed quota: NAME: must specify limits.cpu for: c1,c2; …` or `status unknown for quota: …`.
pub fn required(quota: &Value, resource: &Resource, object: &Value) -> Result<(), String> {
    let names = measured_names(quota, "status.hard", resource);
    if Evaluator::of(resource) == Evaluator::Pods {
        let missing = unset(object, &names);
        if !missing.is_empty() {
            let missing = missing.iter().map(|(what, containers)| {
                let containers: Vec<_> = containers.iter().copied().collect();
                format!("{what} for: {}", containers.join(","))
            });
            let missing: Vec<_> = missing.collect();
            let missing = missing.join("; ");
            return Err(format!(
                "failed quota: {}: must specify {missing}",
                name(quota)
            ));
        }
    }
    if names
        .iter()
        .any(|name| entry(quota, "status.used", name).is_none())
    {
        let names: Vec<_> = names.into_iter().collect();
        let (quota, names) = (name(quota), names.join(","));
        return Err(format!(
            "status unknown for quota: {quota}, resources: {names}"
        ));
    }
    Ok(())
}

/// The containers that do not set what they must, by what that is.
fn unset<'a>(
    pod: &'a Value,
    names: &BTreeSet<String>,
) -> BTreeMap<&'static str, BTreeSet<&'a str>> {
    let mut missing: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    if is_pod_level_set(pod) {
        return missing;
    }
    let containers = list(pod, "spec.containers").iter();
    for container in containers.chain(list(pod, "spec.initContainers")) {
        let requests = amounts(container, "resources.requests");
        let set = of_compute(&requests, &amounts(container, "resources.limits"));
        for what in SET_BY_CONTAINERS {
            if names.contains(what) && !set.contains_key(what) {
                missing
                    .entry(what)
                    .or_default()
                    .insert(text(container, "name"));
            }
        }
    }
    missing
}
