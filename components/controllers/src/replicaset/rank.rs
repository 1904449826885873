//! Which pods go first when there are too many.

use std::cmp::Ordering;
use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::pods::{is_ready, phase, ready_since, restarts};

/// Set by users: pods with a lower cost go before others.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// What decides about one pod, most important first (upstream's ActivePodsWithRanks).
#[derive(Debug)]
struct Rank {
    /// On no node, then on one.
    assigned: bool,
    /// Pending, unknown, running.
    phase: u8,
    ready: bool,
    cost: i32,
    /// Pods of the same owners on its node, this one included.
    doubled: usize,
    ready_since: Option<Timestamp>,
    restarts: i32,
    created: Option<Timestamp>,
}

/// Puts those that should go first to the front. `related` are all active pods that serve the same purpose: two on
/// one node count as doubled.
pub(super) fn sort_for_deletion(pods: &mut [&Pod], related: &[&Pod], now: Timestamp) {
    let mut by_node: HashMap<&str, usize> = HashMap::new();
    for node in related.iter().copied().filter_map(node) {
        *by_node.entry(node).or_default() += 1;
    }
    let doubled = |pod: &Pod| node(pod).and_then(|node| by_node.get(node)).copied();
    pods.sort_by_cached_key(|pod| Sorted {
        rank: rank(pod, doubled(pod).unwrap_or(0)),
        now,
    });
}

fn node(pod: &Pod) -> Option<&str> {
    let node = pod.spec.as_ref()?.node_name.as_deref();
    node.filter(|node| !node.is_empty())
}

fn rank(pod: &Pod, doubled: usize) -> Rank {
    let annotations = pod.metadata.annotations.as_ref();
    let cost = annotations.and_then(|annotations| annotations.get(DELETION_COST));
    let created = pod.metadata.creation_timestamp.as_ref();
    Rank {
        assigned: node(pod).is_some(),
        phase: match phase(pod) {
            "Pending" => 0,
            "Unknown" => 1,
            _ => 2,
        },
        ready: is_ready(pod),
        cost: cost.and_then(|cost| cost.parse().ok()).unwrap_or(0),
        doubled,
        ready_since: ready_since(pod),
        restarts: restarts(pod),
        created: created.map(|time| time.0),
    }
}

struct Sorted {
    rank: Rank,
    now: Timestamp,
}

impl Sorted {
    fn compare(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.rank, &other.rank);
        a.assigned
            .cmp(&b.assigned)
            .then(a.phase.cmp(&b.phase))
            .then(a.ready.cmp(&b.ready))
            .then(a.cost.cmp(&b.cost))
            .then(b.doubled.cmp(&a.doubled))
            .then_with(|| self.younger_first(a.ready_since, b.ready_since))
            .then(b.restarts.cmp(&a.restarts))
            .then_with(|| self.younger_first(a.created, b.created))
    }

    /// Ages count by their order of magnitude only: otherwise the youngest would always be the same ones, those of
    /// the last scale-up, and whoever spreads pods over nodes would see his work undone.
    fn younger_first(&self, a: Option<Timestamp>, b: Option<Timestamp>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) => self.magnitude(a).cmp(&self.magnitude(b)),
            // What has no time yet is the youngest of all.
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }

    fn magnitude(&self, since: Timestamp) -> u32 {
        let age = self.now.duration_since(since).as_nanos();
        u128::try_from(age)
            .ok()
            .and_then(u128::checked_ilog2)
            .unwrap_or(0)
    }
}

impl PartialEq for Sorted {
    fn eq(&self, other: &Self) -> bool {
        self.compare(other).is_eq()
    }
}
impl Eq for Sorted {}
impl PartialOrd for Sorted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Sorted {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, node: &str, phase: &str, more: Value) -> Pod {
        let ready = more["ready"].as_str();
        let conditions = ready
            .map(|since| json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]));
        let cost = more["cost"].as_str();
        let pod = json!({
            "metadata": {
                "name": name,
                "creationTimestamp": more["created"].as_str().unwrap_or("2026-01-01T00:00:00Z"),
                "annotations": cost.map(|cost| json!({DELETION_COST: cost})).unwrap_or(json!({})),
            },
            "spec": {"nodeName": node, "containers": []},
            "status": {
                "phase": phase,
                "conditions": conditions.unwrap_or(json!([])),
                "containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true,
                    "restartCount": more["restarts"].as_i64().unwrap_or(0)}],
            },
        });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn what_serves_least_goes_first() {
        let early = "2026-01-01T00:00:10Z";
        let cases = [
            ("not assigned", "", "Pending", json!({})),
            ("pending", "n1", "Pending", json!({})),
            ("unknown", "n1", "Unknown", json!({})),
            ("not ready", "n1", "Running", json!({})),
            (
                "cheap",
                "n1",
                "Running",
                json!({"ready": early, "cost": "-5"}),
            ),
            ("doubled", "n2", "Running", json!({"ready": early})),
            (
                "young",
                "n3",
                "Running",
                json!({"ready": "2026-01-09T00:00:00Z"}),
            ),
            (
                "restarted",
                "n4",
                "Running",
                json!({"ready": early, "restarts": 3}),
            ),
            (
                "new",
                "n5",
                "Running",
                json!({"ready": early, "created": "2026-01-09T00:00:00Z"}),
            ),
            ("good", "n6", "Running", json!({"ready": early})),
        ];
        let pods: Vec<_> = cases
            .iter()
            .map(|(name, node, phase, more)| pod(name, node, phase, more.clone()))
            .collect();
        let twin = pod("twin", "n2", "Running", json!({"ready": early}));
        let mut related: Vec<_> = pods.iter().collect();
        related.push(&twin);
        let now = "2026-01-10T00:00:00Z".parse().expect("a time");
        let mut sorted: Vec<_> = pods.iter().rev().collect();
        sort_for_deletion(&mut sorted, &related, now);
        let names = sorted.iter().map(|pod| pod.metadata.name.as_deref());
        let names: Vec<_> = names.map(Option::unwrap_or_default).collect();
        let expected: Vec<_> = cases.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn ages_of_one_magnitude_are_equal() {
        let one = pod(
            "one",
            "n1",
            "Running",
            json!({"ready": "2026-01-01T00:00:00Z"}),
        );
        let two = pod(
            "two",
            "n2",
            "Running",
            json!({"ready": "2026-01-01T06:00:00Z"}),
        );
        let now = "2026-01-10T00:00:00Z".parse().expect("a time");
        for order in [[&one, &two], [&two, &one]] {
            let mut sorted = order;
            sort_for_deletion(&mut sorted, &order, now);
            assert!(std::ptr::eq(sorted[0], order[0]), "their order stays");
        }
    }
}
