//! Which nodes a pod wants.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

type Labels = BTreeMap<String, String>;

/// Whether a node of this name with these labels is one.
pub(super) fn wants(spec: &PodSpec, name: &str, labels: &Labels) -> bool {
    let mut selector = spec.node_selector.iter().flatten();
    if !selector.all(|(key, value)| labels.get(key) == Some(value)) {
        return false;
    }
    let affinity = spec
        .affinity
        .as_ref()
        .and_then(|all| all.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| {
        affinity
            .required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    required.is_none_or(|required| {
        let mut terms = required.node_selector_terms.iter();
        terms.any(|term| matches(term, name, labels))
    })
}

/// A term without any requirement matches no node.
fn matches(term: &NodeSelectorTerm, name: &str, labels: &Labels) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let field = |key: &str| (key == "metadata.name").then_some(name);
    let label = |key: &str| labels.get(key).map(String::as_str);
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|one| holds(one, label(&one.key)))
        && fields.iter().all(|one| holds(one, field(&one.key)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let is_one = value.is_some_and(|value| values.iter().any(|one| one == value));
    let number = |text: &str| text.parse::<i64>().ok();
    let compared = || match values {
        [than] => Some((number(value?)?, number(than)?)),
        _ => None,
    };
    match requirement.operator.as_str() {
        "In" => is_one,
        "NotIn" => !is_one,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared().is_some_and(|(own, than)| own > than),
        "Lt" => compared().is_some_and(|(own, than)| own < than),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_node_is_wanted_by_labels_and_name() {
        let labels = Labels::from([("disk".into(), "fast".into()), ("cpus".into(), "8".into())]);
        let term = |expressions: Value, fields: Value| {
            json!({"containers": [], "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [{"matchExpressions": expressions, "matchFields": fields}]}}}})
        };
        let one = |key: &str, operator: &str, values: &[&str]| {
            term(
                json!([{"key": key, "operator": operator, "values": values}]),
                json!([]),
            )
        };
        let cases = [
            (json!({"containers": []}), true),
            (
                json!({"containers": [], "nodeSelector": {"disk": "fast"}}),
                true,
            ),
            (
                json!({"containers": [], "nodeSelector": {"disk": "slow"}}),
                false,
            ),
            (
                json!({"containers": [], "nodeSelector": {"disk": "fast", "x": "y"}}),
                false,
            ),
            (one("disk", "In", &["slow", "fast"]), true),
            (one("disk", "NotIn", &["fast"]), false),
            (one("x", "NotIn", &["fast"]), true),
            (one("x", "Exists", &[]), false),
            (one("x", "DoesNotExist", &[]), true),
            (one("cpus", "Gt", &["7"]), true),
            (one("cpus", "Lt", &["8"]), false),
            (one("disk", "Gt", &["7"]), false),
            (one("disk", "Sometimes", &["fast"]), false),
            (
                term(
                    json!([]),
                    json!([{"key": "metadata.name", "operator": "In", "values": ["n"]}]),
                ),
                true,
            ),
            (
                term(
                    json!([]),
                    json!([{"key": "metadata.name", "operator": "In", "values": ["m"]}]),
                ),
                false,
            ),
            (term(json!([]), json!([])), false),
        ];
        for (spec, expected) in cases {
            let read: PodSpec = serde_json::from_value(spec.clone()).expect("a spec");
            assert_eq!(wants(&read, "n", &labels), expected, "{spec}");
        }
    }
}
