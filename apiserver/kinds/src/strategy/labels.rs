//! Label keys whose values pods bring: `matchLabelKeys` become requirements of a selector.

use crate::value::{entry, has, list, text};
use serde_json::{Map, Value, json};

/// Adds a requirement to `labelSelector` of `owner` for every key of its list `keys` that `labels`
/// has. Without a selector nothing is selected, so nothing is added.
pub(super) fn merge_label_keys(owner: &mut Value, keys: &str, operator: &str, labels: &Value) {
    if !has(owner, "labelSelector") {
        return;
    }
    let mut added = Vec::new();
    for key in list(owner, keys).iter().filter_map(Value::as_str) {
        if let Some(value) = entry(labels, "", key) {
            added.push(json!({"key": key, "operator": operator, "values": [value]}));
        }
    }
    if added.is_empty() {
        return;
    }
    let Some(selector) = owner
        .get_mut("labelSelector")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    add_requirements(selector, added);
}

fn add_requirements(selector: &mut Map<String, Value>, added: Vec<Value>) {
    let expressions = selector.entry("matchExpressions").or_insert(Value::Null);
    if expressions.is_null() {
        *expressions = Value::Array(Vec::new());
    }
    if let Some(expressions) = expressions.as_array_mut() {
        expressions.extend(added);
    }
}

/// The terms of a pod (anti-)affinity, weighted ones unwrapped.
pub(super) fn each_affinity_term(affinity: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(rules) = affinity.get_mut(kind) else {
            continue;
        };
        if let Some(Value::Array(terms)) =
            rules.get_mut("requiredDuringSchedulingIgnoredDuringExecution")
        {
            terms.iter_mut().for_each(&mut *visit);
        }
        if let Some(Value::Array(weighted)) =
            rules.get_mut("preferredDuringSchedulingIgnoredDuringExecution")
        {
            weighted
                .iter_mut()
                .filter_map(|term| term.get_mut("podAffinityTerm"))
                .for_each(&mut *visit);
        }
    }
}

/// Condition of this type in a list of conditions.
pub(super) fn condition<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions
        .iter()
        .find(|condition| text(condition, "type") == kind)
}
