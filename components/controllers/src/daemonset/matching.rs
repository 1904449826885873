//! Whether a node is one that a pod selects.

use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

/// Whether the node has what the pod's selector and required node affinity ask for.
pub(super) fn selects(spec: &PodSpec, node: &Node) -> bool {
    let label = |name: &str| node.metadata.labels.as_ref()?.get(name);
    let mut labels = spec.node_selector.iter().flatten();
    if !labels.all(|(name, value)| label(name) == Some(value)) {
        return false;
    }
    let affinity = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| {
        affinity
            .required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    required.is_none_or(|required| {
        required
            .node_selector_terms
            .iter()
            .any(|term| is_met(term, node))
    })
}

fn is_met(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        // It selects nothing.
        return false;
    }
    let label = |name: &str| node.metadata.labels.as_ref()?.get(name).map(String::as_str);
    let field = |name: &str| match name {
        "metadata.name" => node.metadata.name.as_deref(),
        _ => None,
    };
    expressions
        .iter()
        .all(|wanted| holds(wanted, label(&wanted.key)))
        && fields
            .iter()
            .all(|wanted| holds(wanted, field(&wanted.key)))
}

fn holds(wanted: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = wanted.values.as_deref().unwrap_or_default();
    let is_in = || value.is_some_and(|value| values.iter().any(|one| one == value));
    let compared = |is: fn(&i64, &i64) -> bool| {
        let value = value.and_then(|value| value.parse().ok());
        let bound = values.first().and_then(|bound| bound.parse().ok());
        matches!((value, bound), (Some(value), Some(bound)) if is(&value, &bound))
    };
    match wanted.operator.as_str() {
        "In" => is_in(),
        "NotIn" => !is_in(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared(i64::gt),
        "Lt" => compared(i64::lt),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn nodes_are_selected_by_labels_and_affinity() {
        let node = json!({"metadata": {"name": "n1", "labels": {"disk": "ssd", "cpus": "8"}}});
        let node: Node = serde_json::from_value(node).expect("a node");
        let term = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        let required = |terms: Value| {
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": terms}}}})
        };
        let name = |name: &str| json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]});
        for (spec, expected) in [
            (json!({}), true),
            (json!({"nodeSelector": {"disk": "ssd"}}), true),
            (json!({"nodeSelector": {"disk": "hdd"}}), false),
            (
                required(json!([term("disk", "In", json!(["hdd", "ssd"]))])),
                true,
            ),
            (
                required(json!([term("disk", "NotIn", json!(["ssd"]))])),
                false,
            ),
            (required(json!([term("zone", "NotIn", json!(["a"]))])), true),
            (
                required(json!([
                    term("zone", "Exists", json!([])),
                    term("disk", "Exists", json!([]))
                ])),
                true,
            ),
            (
                required(json!([term("zone", "DoesNotExist", json!([]))])),
                true,
            ),
            (required(json!([term("cpus", "Gt", json!(["4"]))])), true),
            (required(json!([term("cpus", "Lt", json!(["4"]))])), false),
            (required(json!([term("disk", "Gt", json!(["4"]))])), false),
            (required(json!([name("n1")])), true),
            (required(json!([name("n2")])), false),
            (required(json!([{}])), false),
            (required(json!([])), false),
        ] {
            let mut whole = json!({"containers": []});
            for (key, value) in spec.as_object().into_iter().flatten() {
                whole[key] = value.clone();
            }
            let parsed = serde_json::from_value(whole).expect("a spec");
            assert_eq!(selects(&parsed, &node), expected, "{spec}");
        }
    }
}
