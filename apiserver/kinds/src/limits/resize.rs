//! Whether a node can do what the resize of a pod asks for: the rules of upstream's admission plugin `PodResize`.

use super::pod_totals;
use crate::quantities::amounts;
use crate::value::entry_text;
use mainstay_machinery::gofmt::quote;
use mainstay_machinery::quantity::{Format, Quantity};
use serde_json::Value;

/// Why a resize is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResizeProblem {
    /// For people.
    pub message: String,
    /// For machines: the reason of the cause.
    pub reason: &'static str,
}

/// What is wrong with the requests of a pod on its node.
#[must_use]
pub fn problem(pod: &Value, node: &Value) -> Option<ResizeProblem> {
    let system = entry_text(node, "metadata.labels", "kubernetes.io/os");
    if !matches!(system, "" | "linux") {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        return Some(ResizeProblem {
            message: format!(
                "pod resize is only supported on linux nodes, node {} is {}",
                quote(name),
                quote(system)
            ),
            reason: "UnsupportedPlatform",
        });
    }
    let (requests, allocatable) = (
        pod_totals::requests(pod),
        amounts(node, "status.allocatable"),
    );
    let zero = Quantity::zero(Format::DecimalSi);
    let mut lacking = Vec::new();
    for (name, shown) in [
        ("cpu", Quantity::milli_value as fn(&Quantity) -> i64),
        ("memory", Quantity::value),
    ] {
        let wanted = requests.get(name).unwrap_or(&zero);
        let there = allocatable.get(name).unwrap_or(&zero);
        if wanted > there {
            lacking.push(format!(
                "{name}, requested: {}, allocatable: {}",
                shown(wanted),
                shown(there)
            ));
        }
    }
    (!lacking.is_empty()).then(|| ResizeProblem {
        message: format!(
            "node didn't have enough allocatable resources: {}",
            lacking.join("; ")
        ),
        reason: "NodeCapacity",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_grew_beyond_its_node() {
        let pod = |cpu: &str| json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]}});
        let node = |system: &str| {
            json!({
                "metadata": {"name": "n", "labels": {"kubernetes.io/os": system}},
                "status": {"allocatable": {"cpu": "2", "memory": "4Gi"}},
            })
        };
        let cases = [
            (pod("2"), node("linux"), None),
            (
                pod("2500m"),
                node("linux"),
                Some(
                    "node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000",
                ),
            ),
            (
                pod("1"),
                json!({}),
                Some(
                    "node didn't have enough allocatable resources: cpu, requested: 1000, allocatable: 0; memory, requested: 1073741824, allocatable: 0",
                ),
            ),
            (
                pod("1"),
                node("windows"),
                Some("pod resize is only supported on linux nodes, node \"n\" is \"windows\""),
            ),
        ];
        for (pod, node, expected) in cases {
            let found = problem(&pod, &node).map(|problem| problem.message);
            assert_eq!(found.as_deref(), expected, "{pod} {node}");
        }
    }
}
