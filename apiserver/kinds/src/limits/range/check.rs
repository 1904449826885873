//! Pods and claims against the bounds of limit ranges.

use super::constraint::{self, Asked};
use crate::limits::Change;
use crate::limits::pod_totals::of_spec;
use crate::quantities::{Amounts, amounts};
use crate::value::{list, text};
use mainstay_machinery::quantity::Quantity;
use mainstay_schema::Resource;
use serde_json::Value;
use std::collections::HashSet;

type Constraint = fn(&str, &Quantity, &Asked<'_>) -> Option<String>;

const COMPUTE: [(&str, Constraint); 3] = [
    ("min", constraint::min),
    ("max", constraint::max),
    ("maxLimitRequestRatio", constraint::ratio),
];
const STORAGE: [(&str, Constraint); 2] =
    [("min", constraint::min), ("max", constraint::max_request)];

/// Whether limit ranges concern a request: a pod that is created or resized, or a claim that is created or
/// updated, and not marked for deletion yet.
#[must_use]
pub fn applies(change: &Change<'_>) -> bool {
    let concerns = match change.subresource {
        "" if change.is_of("pods") => !change.is_update(),
        "" => change.is_of("persistentvolumeclaims"),
        "resize" => change.is_of("pods") && change.is_update(),
        _ => false,
    };
    concerns && !change.is_of_deleted()
}

/// Checks an object against the namespace's limit ranges. Objects other than pods and claims always pass.
///
/// # Errors
/// Everything that is wrong by the first range that is broken, in upstream's words.
pub fn check<'a>(
    resource: &Resource,
    object: &Value,
    ranges: impl IntoIterator<Item = &'a Value>,
) -> Result<(), String> {
    let broken_by: fn(&Value, &Value) -> Vec<String> = match (resource.group, resource.plural) {
        ("", "pods") => broken_by_pod,
        ("", "persistentvolumeclaims") => broken_by_claim,
        _ => return Ok(()),
    };
    for range in ranges {
        let messages = broken_by(range, object);
        if !messages.is_empty() {
            return Err(joined(messages));
        }
    }
    Ok(())
}

fn broken_by_pod(range: &Value, pod: &Value) -> Vec<String> {
    let mut messages = Vec::new();
    for item in list(range, "spec.limits") {
        match text(item, "type") {
            "Container" => {
                let containers = list(pod, "spec.containers");
                for container in containers.iter().chain(list(pod, "spec.initContainers")) {
                    let requests = amounts(container, "resources.requests");
                    let limits = amounts(container, "resources.limits");
                    test(item, &COMPUTE, &requests, &limits, &mut messages);
                }
            }
            "Pod" => {
                let (requests, limits) = (of_spec(pod, "requests"), of_spec(pod, "limits"));
                test(item, &COMPUTE, &requests, &limits, &mut messages);
            }
            _ => {}
        }
    }
    messages
}

fn broken_by_claim(range: &Value, claim: &Value) -> Vec<String> {
    let mut messages = Vec::new();
    let requests = amounts(claim, "spec.resources.requests");
    for item in list(range, "spec.limits") {
        if text(item, "type") == "PersistentVolumeClaim" {
            test(item, &STORAGE, &requests, &Amounts::new(), &mut messages);
        }
    }
    messages
}

fn test(
    item: &Value,
    constraints: &[(&str, Constraint)],
    requests: &Amounts,
    limits: &Amounts,
    messages: &mut Vec<String>,
) {
    let asked = Asked {
        by: text(item, "type"),
        requests,
        limits,
    };
    for (bounds, broken) in constraints {
        for (name, bound) in amounts(item, bounds) {
            messages.extend(broken(&name, &bound, &asked));
        }
    }
}

/// One message as it is, several in brackets, equal ones once.
fn joined(mut messages: Vec<String>) -> String {
    let mut seen = HashSet::new();
    messages.retain(|message| seen.insert(message.clone()));
    match messages.as_slice() {
        [message] => message.clone(),
        _ => format!("[{}]", messages.join(", ")),
    }
}
