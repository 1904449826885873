//! Which pods go.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::nodes::{is_ready, node_of};
use crate::pods::phase;

const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether it was deleted with no time left: only finalizers hold it, and asking again changes nothing.
pub(super) fn is_going_at_once(pod: &Pod) -> bool {
    is_terminating(pod) && is_over(pod) && pod.metadata.deletion_grace_period_seconds == Some(0)
}

/// Whether a pod has come to its end.
pub(super) fn is_over(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Finished pods beyond `threshold`: evicted ones first, then the oldest.
pub(super) fn terminated<'a>(pods: &[&'a Pod], threshold: usize) -> Vec<&'a Pod> {
    let over = pods.iter().copied();
    let over = over.filter(|pod| is_over(pod) && !is_terminating(pod));
    let mut over: Vec<_> = over.collect();
    if threshold == 0 || over.len() <= threshold {
        return Vec::new();
    }
    over.sort_by_cached_key(|pod| {
        let reason = pod.status.as_ref().and_then(|s| s.reason.as_deref());
        let evicted = phase(pod) == "Failed" && reason == Some("Evicted");
        let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (!evicted, created, pod.metadata.name.clone())
    });
    over.truncate(over.len() - threshold);
    over
}

/// Pods that were deleted before they had a node: no kubelet will end them.
pub(super) fn unscheduled<'a>(pods: &[&'a Pod]) -> Vec<&'a Pod> {
    let all = pods.iter().copied();
    all.filter(|pod| is_terminating(pod) && node_of(pod).is_none())
        .collect()
}

/// Pods that are deleted on nodes that are not ready and were declared to be out of service.
pub(super) fn out_of_service<'a>(pods: &[&'a Pod], nodes: &[&Node]) -> Vec<&'a Pod> {
    let down = |node: &&&Node| {
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref());
        let mut taints = taints.unwrap_or_default().iter();
        taints.any(|taint| taint.key == OUT_OF_SERVICE) && !is_ready(node)
    };
    let down = nodes.iter().filter(down);
    let down: HashSet<&str> = down.filter_map(|n| n.metadata.name.as_deref()).collect();
    let all = pods.iter().copied().filter(|pod| is_terminating(pod));
    all.filter(|pod| node_of(pod).is_some_and(|node| down.contains(node)))
        .collect()
}

/// Pods by the nodes that they are on and that do not exist.
pub(super) fn orphaned<'a>(pods: &[&'a Pod], nodes: &[&Node]) -> HashMap<&'a str, Vec<&'a Pod>> {
    let known = nodes
        .iter()
        .filter_map(|node| node.metadata.name.as_deref());
    let known: HashSet<&str> = known.collect();
    let mut orphaned: HashMap<&str, Vec<&Pod>> = HashMap::new();
    for &pod in pods {
        if let Some(node) = node_of(pod).filter(|node| !known.contains(node)) {
            orphaned.entry(node).or_default().push(pod);
        }
    }
    orphaned
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, phase: &str, node: &str, deleted: bool) -> Pod {
        let deleted = deleted.then_some("2026-01-01T00:00:00Z");
        let evicted = name.starts_with("evicted").then_some("Evicted");
        let pod = json!({
            "metadata": {"name": name, "deletionTimestamp": deleted},
            "spec": {"nodeName": node, "containers": []},
            "status": {"phase": phase, "reason": evicted},
        });
        serde_json::from_value(pod).expect("a pod")
    }

    fn node(name: &str, ready: &str, taint: &str) -> Node {
        let node = json!({
            "metadata": {"name": name},
            "spec": {"taints": [{"key": taint, "effect": "NoExecute"}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        });
        serde_json::from_value(node).expect("a node")
    }

    fn names<'a>(pods: &[&'a Pod]) -> Vec<&'a str> {
        let names = pods.iter().filter_map(|pod| pod.metadata.name.as_deref());
        names.collect()
    }

    #[test]
    fn pods_that_nobody_else_takes_away_go() {
        let pods = [
            pod("a", "Succeeded", "n1", false),
            pod("b", "Failed", "n1", false),
            pod("evicted", "Failed", "n1", false),
            pod("going", "Failed", "n1", true),
            pod("runs", "Running", "n1", false),
            pod("new", "Pending", "", true),
            pod("waits", "Pending", "", false),
            pod("stuck", "Running", "down", true),
            pod("back", "Running", "up", true),
            pod("lost", "Running", "gone", false),
        ];
        let pods: Vec<_> = pods.iter().collect();
        let nodes = [
            node("n1", "True", "x"),
            node("down", "Unknown", OUT_OF_SERVICE),
            node("up", "True", OUT_OF_SERVICE),
        ];
        let nodes: Vec<_> = nodes.iter().collect();
        assert_eq!(names(&terminated(&pods, 3)), [""; 0]);
        assert_eq!(names(&terminated(&pods, 2)), ["evicted"]);
        assert_eq!(names(&terminated(&pods, 1)), ["evicted", "a"]);
        assert_eq!(names(&terminated(&pods, 0)), [""; 0]);
        assert_eq!(names(&unscheduled(&pods)), ["new"]);
        assert_eq!(names(&out_of_service(&pods, &nodes)), ["stuck"]);
        let orphaned = orphaned(&pods, &nodes);
        assert_eq!(names(&orphaned["gone"]), ["lost"]);
        assert_eq!(orphaned.len(), 1);
    }
}
