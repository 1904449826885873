//! Which pods each node lacks, and which are too many on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::place::Fit;
use super::pod::{hash_of, node_of};
use crate::pods::{is_available, is_ready, phase};

/// Pods of one daemon set by the nodes they are on or for.
pub(super) type ByNode = BTreeMap<String, Vec<Arc<Pod>>>;

/// What to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Nodes that get a pod.
    pub(super) create: Vec<String>,
    pub(super) delete: Vec<Arc<Pod>>,
    /// Pods that have ended, which go if they have not failed too often.
    pub(super) ended: Vec<(String, Arc<Pod>)>,
}

/// What is decided by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    /// The hash of the template of now.
    pub(super) hash: &'a str,
    /// Whether an update starts the new pod of a node before the old one ends.
    pub(super) surges: bool,
    pub(super) min_ready_seconds: i32,
    pub(super) now: Timestamp,
}

impl Rules<'_> {
    pub(super) fn is_new(&self, pod: &Pod) -> bool {
        hash_of(pod) == Some(self.hash)
    }

    pub(super) fn is_available(&self, pod: &Pod) -> bool {
        is_available(pod, self.min_ready_seconds, self.now)
    }
}

pub(super) fn goes(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

pub(super) fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Failed" | "Succeeded")
}

/// Bound pods first, and the oldest of them.
pub(super) fn sort(pods: &mut [Arc<Pod>]) {
    pods.sort_by_cached_key(|pod| {
        let bound = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (
            bound.unwrap_or_default().is_empty(),
            created,
            pod.metadata.name.clone(),
        )
    });
}

/// Pods by node. One that has ended and is being deleted waits for somebody else, and is no longer looked at.
pub(super) fn by_node(pods: &[Arc<Pod>]) -> ByNode {
    let mut nodes = ByNode::new();
    for pod in pods {
        if has_ended(pod) && goes(pod) {
            continue;
        }
        if let Some(node) = node_of(pod) {
            nodes
                .entry(node.to_owned())
                .or_default()
                .push(Arc::clone(pod));
        }
    }
    nodes
}

impl Plan {
    /// `fits` has every node there is.
    pub(super) fn of(rules: &Rules<'_>, fits: &BTreeMap<String, Fit>, pods: &ByNode) -> Self {
        let mut plan = Self::default();
        for (node, fit) in fits {
            match (fit, pods.get(node)) {
                (Fit::Runs, None) => plan.create.push(node.clone()),
                (Fit::Runs | Fit::Stays, Some(pods)) => plan.keep(rules, node, *fit, pods),
                (Fit::None, Some(pods)) => {
                    plan.delete
                        .extend(pods.iter().filter(|pod| !goes(pod)).cloned());
                }
                (_, None) => {}
            }
        }
        for (node, pods) in pods {
            if !fits.contains_key(node) {
                // Never bound, and now for a node that is gone. Those that were bound are the pod collector's.
                let waits = |pod: &&Arc<Pod>| {
                    let bound = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
                    bound.unwrap_or_default().is_empty() && !goes(pod)
                };
                plan.delete.extend(pods.iter().filter(waits).cloned());
            }
        }
        plan
    }

    fn keep(&mut self, rules: &Rules<'_>, node: &str, fit: Fit, pods: &[Arc<Pod>]) {
        let (ended, mut running): (Vec<_>, Vec<_>) = pods
            .iter()
            .filter(|pod| !goes(pod))
            .cloned()
            .partition(|pod| has_ended(pod));
        self.ended
            .extend(ended.into_iter().map(|pod| (node.to_owned(), pod)));
        sort(&mut running);
        if !rules.surges {
            self.delete.extend(running.into_iter().skip(1));
            return;
        }
        if running.is_empty() && fit == Fit::Runs {
            // Another one may be on its way out: with surge the new one need not wait for it.
            self.create.push(node.to_owned());
        }
        if running.len() > 1 {
            self.thin_out(rules, running);
        }
    }

    /// One new pod and one old one may be there, until the new one is available or the old one is not ready.
    fn thin_out(&mut self, rules: &Rules<'_>, running: Vec<Arc<Pod>>) {
        let (mut new, mut old) = (None, None);
        for pod in running {
            let place = if rules.is_new(&pod) {
                &mut new
            } else {
                &mut old
            };
            match place {
                None => *place = Some(pod),
                Some(_) => self.delete.push(pod),
            }
        }
        if let (Some(new), Some(old)) = (new, old)
            && (!is_ready(&old) || rules.is_available(&new))
        {
            self.delete.push(old);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// Pods as words: node, a letter for the template (`B` is the one of now), and letters for its state: `r` is not
    /// ready, `f` failed, `d` being deleted, `u` not bound. They are made in the order in which they are written.
    pub(in super::super) fn pods(words: &str) -> Vec<Arc<Pod>> {
        words
            .split_whitespace()
            .enumerate()
            .map(|(at, word)| pod(at, word))
            .collect()
    }

    fn pod(at: usize, word: &str) -> Arc<Pod> {
        let (node, letters) = word.split_at(2);
        let has = |letter: char| letters.contains(letter);
        let ready = if has('r') || has('f') {
            "False"
        } else {
            "True"
        };
        let mut pod = json!({
            "metadata": {"name": word, "labels": {"controller-revision-hash": &letters[..1]},
                "creationTimestamp": format!("2026-01-01T00:00:{at:02}Z")},
            "spec": {"containers": [], "affinity": {"nodeAffinity":
                {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields":
                    [{"key": "metadata.name", "operator": "In", "values": [node]}]}]}}}},
            "status": {"phase": if has('f') { "Failed" } else { "Running" }, "conditions": [
                {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        });
        if has('d') {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        if !has('u') {
            pod["spec"]["nodeName"] = json!(node);
        }
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    pub(in super::super) fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
        pods.iter()
            .filter_map(|pod| pod.metadata.name.as_deref())
            .collect()
    }

    pub(in super::super) fn rules(surges: bool) -> Rules<'static> {
        Rules {
            hash: "B",
            surges,
            min_ready_seconds: 0,
            now: "2026-01-01T00:01:00Z".parse().expect("a time"),
        }
    }

    #[test]
    fn each_node_that_fits_has_one_pod() {
        let fits: BTreeMap<_, _> = [
            ("n1", Fit::Runs),
            ("n2", Fit::Runs),
            ("s1", Fit::Stays),
            ("x1", Fit::None),
        ]
        .map(|(node, fit)| (node.to_owned(), fit))
        .into();
        for (what, words, create, delete, ended) in [
            ("empty", "", vec!["n1", "n2"], vec![], vec![]),
            ("complete", "n1B n2A", vec![], vec![], vec![]),
            ("one goes", "n1B n2Bd", vec![], vec![], vec![]),
            (
                "one has failed and goes",
                "n1B n2Bfd",
                vec!["n2"],
                vec![],
                vec![],
            ),
            ("one has failed", "n1B n2Bf", vec![], vec![], vec!["n2Bf"]),
            (
                "two on a node",
                "n1B n1Br n2B",
                vec![],
                vec!["n1Br"],
                vec![],
            ),
            (
                "a bound one stays",
                "n1Bu n1Br n2B",
                vec![],
                vec!["n1Bu"],
                vec![],
            ),
            ("may stay", "n1B n2B s1B", vec![], vec![], vec![]),
            (
                "must not be",
                "n1B n2B x1B x1Ad",
                vec![],
                vec!["x1B"],
                vec![],
            ),
            (
                "node is gone",
                "n1B n2B g1Bu g2B",
                vec![],
                vec!["g1Bu"],
                vec![],
            ),
        ] {
            let plan = Plan::of(&rules(false), &fits, &by_node(&pods(words)));
            assert_eq!(plan.create, create, "{what}");
            assert_eq!(names(&plan.delete), delete, "{what}");
            let gone: Vec<_> = plan.ended.into_iter().map(|(_, pod)| pod).collect();
            assert_eq!(names(&gone), ended, "{what}");
        }
    }

    #[test]
    fn with_surge_an_old_pod_stays_until_the_new_one_is_available() {
        let fits: BTreeMap<_, _> = [("n1".to_owned(), Fit::Runs)].into();
        for (what, words, create, delete) in [
            ("the old one is on its way out", "n1Ad", vec!["n1"], vec![]),
            ("both", "n1A n1Br", vec![], vec![]),
            ("the new one is available", "n1A n1B", vec![], vec!["n1A"]),
            ("the old one is down", "n1Ar n1Br", vec![], vec!["n1Ar"]),
            ("too many", "n1A n1Cr n1Br n1Bf", vec![], vec!["n1Cr"]),
        ] {
            let plan = Plan::of(&rules(true), &fits, &by_node(&pods(words)));
            assert_eq!(plan.create, create, "{what}");
            assert_eq!(names(&plan.delete), delete, "{what}");
        }
    }
}
