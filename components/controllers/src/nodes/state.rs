//! What a node's status and labels say.

use k8s_openapi::api::core::v1::{Node, NodeCondition};

pub(crate) fn condition<'a>(node: &'a Node, name: &str) -> Option<&'a NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == name)
}

/// `True`, `False` or `Unknown`; `None` if nothing was ever said about it.
pub(crate) fn ready_status(node: &Node) -> Option<&str> {
    condition(node, "Ready").map(|condition| condition.status.as_str())
}

pub(crate) fn is_ready(node: &Node) -> bool {
    ready_status(node) == Some("True")
}

/// Region and zone of a node in one word, as upstream's figures have it; empty for a node that is in none.
pub(crate) fn zone(node: &Node) -> String {
    let labels = node.metadata.labels.as_ref();
    let label = |stable: &str, old: &str| {
        let value = labels.and_then(|labels| labels.get(stable).or_else(|| labels.get(old)));
        value.map(String::as_str).unwrap_or_default()
    };
    let region = label(
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/region",
    );
    let zone = label(
        "topology.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/zone",
    );
    match (region, zone) {
        ("", "") => String::new(),
        // No label has a zero in it, so no two zones are the same word.
        _ => format!("{region}:\0:{zone}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(labels: Value) -> Node {
        serde_json::from_value(json!({"metadata": {"labels": labels}})).expect("a node")
    }

    #[test]
    fn a_zone_is_one_of_a_region() {
        let stable =
            json!({"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z"});
        let old = json!({"failure-domain.beta.kubernetes.io/zone": "z"});
        assert_eq!(zone(&node(json!({}))), "");
        assert_eq!(zone(&node(stable)), "r:\0:z");
        assert_eq!(zone(&node(old)), ":\0:z");
    }
}
