//! The pods of a daemon set.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration,
};

use crate::history::DAEMON_HASH;
use crate::pods::pod_from;

/// The annotation with the number of the template, and the label of pods with it: from the time before hashes.
const GENERATION: &str = "deprecated.daemonset.template.generation";
const POD_GENERATION: &str = "pod-template-generation";

/// The field by which a pod is for one node.
const NAME: &str = "metadata.name";

/// Taints that daemons live with: a node's troubles are no reason to leave it.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// One more for those that bring the network.
const TOLERATED_ON_HOST: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// The spec of the set's pods, before they are for a node.
pub(super) fn spec(set: &DaemonSet) -> PodSpec {
    let template = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.clone());
    let mut spec = template.unwrap_or_default();
    let on_host = spec.host_network == Some(true);
    let host = on_host.then_some(TOLERATED_ON_HOST);
    let tolerations = spec.tolerations.get_or_insert_default();
    for (key, effect) in TOLERATED.into_iter().chain(host) {
        let wanted = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        match tolerations
            .iter_mut()
            .find(|known| is_for_same(known, &wanted))
        {
            Some(known) => *known = wanted,
            None => tolerations.push(wanted),
        }
    }
    spec
}

fn is_for_same(a: &Toleration, b: &Toleration) -> bool {
    let value = |t: &Toleration| t.value.clone().unwrap_or_default();
    a.key == b.key && a.effect == b.effect && a.operator == b.operator && value(a) == value(b)
}

/// A pod for one node.
pub(super) fn pod(set: &DaemonSet, hash: &str, node: &str) -> Pod {
    let template = set.spec.as_ref().map(|spec| spec.template.clone());
    let mut pod = pod_from(&template.unwrap_or_default(), set);
    let mut spec = spec(set);
    let affinity = spec
        .affinity
        .get_or_insert_default()
        .node_affinity
        .get_or_insert_default();
    // In place of all other terms: the node was chosen by them.
    affinity.required_during_scheduling_ignored_during_execution = Some(NodeSelector {
        node_selector_terms: vec![NodeSelectorTerm {
            match_fields: Some(vec![NodeSelectorRequirement {
                key: NAME.to_owned(),
                operator: "In".to_owned(),
                values: Some(vec![node.to_owned()]),
            }]),
            match_expressions: None,
        }],
    });
    pod.spec = Some(spec);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(DAEMON_HASH.to_owned(), hash.to_owned());
    let annotations = set.metadata.annotations.as_ref();
    let generation = annotations.and_then(|annotations| annotations.get(GENERATION));
    if let Some(generation) = generation.filter(|text| text.parse::<i64>().is_ok()) {
        labels.insert(POD_GENERATION.to_owned(), generation.clone());
    }
    pod
}

/// The node that a pod is bound to, or is for.
pub(super) fn node_of(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(node) = spec.node_name.as_deref().filter(|node| !node.is_empty()) {
        return Some(node);
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    let fields = required
        .node_selector_terms
        .iter()
        .flat_map(|term| term.match_fields.iter().flatten());
    let mut names = fields.filter_map(|field| match field.values.as_deref() {
        Some([node]) if field.key == NAME && field.operator == "In" => Some(node.as_str()),
        _ => None,
    });
    names.next()
}

/// The hash of the template that a pod was made from.
pub(super) fn hash_of(pod: &Pod) -> Option<&str> {
    pod.metadata
        .labels
        .as_ref()?
        .get(DAEMON_HASH)
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_for_its_node_and_lives_with_its_troubles() {
        let set = json!({
            "metadata": {"name": "logs", "namespace": "default", "uid": "u",
                "annotations": {GENERATION: "3"}},
            "spec": {"selector": {}, "template": {
                "metadata": {"labels": {"app": "logs"}},
                "spec": {"containers": [], "hostNetwork": true,
                    "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists",
                        "effect": "NoExecute", "tolerationSeconds": 5}, {"key": "own", "operator": "Exists"}],
                    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}}},
            }},
        });
        let set: DaemonSet = serde_json::from_value(set).expect("a daemon set");
        let mut made = pod(&set, "abc", "n1");
        assert_eq!(node_of(&made), Some("n1"));
        assert_eq!(hash_of(&made), Some("abc"));
        let value = json!(made);
        assert_eq!(value["metadata"]["generateName"], "logs-");
        assert_eq!(
            value["metadata"]["labels"],
            json!({"app": "logs", "controller-revision-hash": "abc",
            "pod-template-generation": "3"})
        );
        let tolerations = value["spec"]["tolerations"]
            .as_array()
            .expect("it has some");
        assert_eq!(tolerations.len(), 8, "its own, the six and the network's");
        assert!(
            tolerations[0].get("tolerationSeconds").is_none(),
            "for ever"
        );
        made.spec.get_or_insert_default().node_name = Some("n2".to_owned());
        assert_eq!(node_of(&made), Some("n2"), "where it is");
        assert_eq!(node_of(&Pod::default()), None);
    }
}
