//! Requests and limits for containers that have none.

use crate::quantities::{Amounts, amounts};
use crate::value::at_mut;
use crate::value::{ensure, list, map, text};
use mainstay_machinery::meta::set_annotation;
use serde_json::Value;

/// Tells users where requests came from that they did not write.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Gives containers and init containers the defaults of the namespace's limit ranges where they have no
/// request or limit of their own, and notes that in the annotation `kubernetes.io/limit-ranger`. The ranges
/// apply one after the other: of two defaults the first wins, and the note is the last one's.
pub fn set_defaults<'a>(pod: &mut Value, ranges: impl IntoIterator<Item = &'a Value>) {
    for range in ranges {
        let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
        for item in list(range, "spec.limits") {
            if text(item, "type") == "Container" {
                requests.extend(amounts(item, "defaultRequest"));
                limits.extend(amounts(item, "default"));
            }
        }
        let mut notes = Vec::new();
        for (place, name) in [
            ("spec.containers", "container"),
            ("spec.initContainers", "init container"),
        ] {
            let Some(Value::Array(containers)) = at_mut(pod, place) else {
                continue;
            };
            for container in containers {
                let whose = format!("for {name} {}", text(container, "name"));
                for (what, defaults) in [("request", &requests), ("limit", &limits)] {
                    let set = fill(container, &format!("resources.{what}s"), defaults);
                    if !set.is_empty() {
                        notes.push(format!("{} {what} {whose}", set.join(", ")));
                    }
                }
            }
        }
        if !notes.is_empty() {
            let note = format!("LimitRanger plugin set: {}", notes.join("; "));
            set_annotation(pod, ANNOTATION, &note);
        }
    }
}

/// Adds what is missing to a resource list and returns the names added, sorted.
fn fill<'d>(container: &mut Value, path: &str, defaults: &'d Amounts) -> Vec<&'d str> {
    let known = map(container, path);
    let missing: Vec<_> = defaults
        .iter()
        .filter(|(name, _)| known.is_none_or(|known| !known.contains_key(name.as_str())))
        .collect();
    if !missing.is_empty()
        && let Some(list) = ensure(container, path)
    {
        for (name, amount) in &missing {
            list.insert((*name).clone(), amount.to_string().into());
        }
    }
    missing.into_iter().map(|(name, _)| name.as_str()).collect()
}
