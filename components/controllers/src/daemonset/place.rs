//! Which nodes a daemon set is for.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, PodSpec, Taint};

use super::matching::selects;
use super::pod::spec;
use crate::nodes::is_tolerated;

/// What a node is to a daemon set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// A pod shall run there.
    Runs,
    /// None is started there, and one that is there stays: the node has a taint that only keeps new ones away.
    Stays,
    /// None shall be there.
    None,
}

/// Decides for one daemon set.
#[derive(Debug)]
pub(super) struct Place(PodSpec);

impl Place {
    pub(super) fn of(set: &DaemonSet) -> Self {
        Self(spec(set))
    }

    pub(super) fn fit(&self, node: &Node) -> Fit {
        let name = self.0.node_name.as_deref().filter(|name| !name.is_empty());
        if name.is_some() && name != node.metadata.name.as_deref() || !selects(&self.0, node) {
            return Fit::None;
        }
        let tolerations = self.0.tolerations.as_deref().unwrap_or_default();
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref());
        let against = |effect: &str| {
            let is = |taint: &&Taint| taint.effect == effect;
            let mut taints = taints.unwrap_or_default().iter().filter(is);
            taints.any(|taint| !is_tolerated(taint, tolerations))
        };
        match (against("NoExecute"), against("NoSchedule")) {
            (true, _) => Fit::None,
            (false, true) => Fit::Stays,
            (false, false) => Fit::Runs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_fit_by_name_selector_and_taints() {
        let taint = |key: &str, effect: &str| json!([{"key": key, "effect": effect}]);
        for (what, spec, taints, expected) in [
            ("any", json!({}), json!([]), Fit::Runs),
            ("its name", json!({"nodeName": "n1"}), json!([]), Fit::Runs),
            (
                "another name",
                json!({"nodeName": "n2"}),
                json!([]),
                Fit::None,
            ),
            (
                "other labels",
                json!({"nodeSelector": {"a": "b"}}),
                json!([]),
                Fit::None,
            ),
            (
                "new pods are kept away",
                json!({}),
                taint("x", "NoSchedule"),
                Fit::Stays,
            ),
            (
                "pods are driven away",
                json!({}),
                taint("x", "NoExecute"),
                Fit::None,
            ),
            (
                "better not",
                json!({}),
                taint("x", "PreferNoSchedule"),
                Fit::Runs,
            ),
            (
                "tolerated",
                json!({"tolerations": [{"key": "x", "operator": "Exists"}]}),
                taint("x", "NoExecute"),
                Fit::Runs,
            ),
            (
                "cordoned",
                json!({}),
                taint("node.kubernetes.io/unschedulable", "NoSchedule"),
                Fit::Runs,
            ),
            (
                "lost",
                json!({}),
                taint("node.kubernetes.io/unreachable", "NoExecute"),
                Fit::Runs,
            ),
            (
                "no network",
                json!({}),
                taint("node.kubernetes.io/network-unavailable", "NoSchedule"),
                Fit::Stays,
            ),
            (
                "brings the network",
                json!({"hostNetwork": true}),
                taint("node.kubernetes.io/network-unavailable", "NoSchedule"),
                Fit::Runs,
            ),
        ] {
            let mut whole = spec.clone();
            whole["containers"] = json!([]);
            let set = json!({"spec": {"selector": {}, "template": {"spec": whole}}});
            let set = serde_json::from_value(set).expect("a daemon set");
            let node = json!({"metadata": {"name": "n1"}, "spec": {"taints": taints}});
            let node = serde_json::from_value(node).expect("a node");
            assert_eq!(Place::of(&set).fit(&node), expected, "{what}");
        }
    }
}
