//! Nodes and pods in few words.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{Decider, Decision, PodInfo, Snapshot};

/// Laid over each other: what `more` has counts.
pub(crate) fn merge(to: &mut Value, more: &Value) {
    match (to, more) {
        (Value::Object(to), Value::Object(more)) => {
            for (key, value) in more {
                merge(to.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (to, more) => *to = more.clone(),
    }
}

/// A node with 4 CPUs, 8 GiB, room for 110 pods and its name as label, and whatever else is given.
pub(crate) fn node(name: &str, more: Value) -> Value {
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}},
    });
    merge(&mut node, &more);
    node
}

pub(crate) fn zoned(name: &str, zone: &str) -> Value {
    let labels = json!({"topology.kubernetes.io/zone": zone});
    node(name, json!({"metadata": {"labels": labels}}))
}

/// A pod with one container that asks for nothing; its name is its uid.
pub(crate) fn pod(name: &str, more: Value) -> Arc<PodInfo> {
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"containers": [{"name": "c", "image": "app:1"}]},
    });
    merge(&mut pod, &more);
    let pod = serde_json::from_value(pod).expect("a pod");
    Arc::new(PodInfo::new(Arc::new(pod)))
}

pub(crate) fn asks(cpu: &str, memory: &str) -> Value {
    let requests = json!({"cpu": cpu, "memory": memory});
    json!({"spec": {"containers": [{"name": "c", "image": "app:1", "resources": {"requests": requests}}]}})
}

/// A pod on a node.
pub(crate) fn placed(name: &str, on: &str, more: Value) -> Arc<PodInfo> {
    let mut all = json!({"spec": {"nodeName": on}});
    merge(&mut all, &more);
    pod(name, all)
}

pub(crate) fn labelled(key: &str, value: &str) -> Value {
    json!({"metadata": {"labels": {key: value}}})
}

pub(crate) fn snapshot(nodes: &[Value], pods: &[Arc<PodInfo>]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for node in nodes {
        let node = serde_json::from_value(node.clone()).expect("a node");
        snapshot.set_node(&Arc::new(node));
    }
    for pod in pods {
        snapshot.set_pod(pod);
    }
    snapshot
}

/// The name of the chosen node, or why there is none.
pub(crate) fn decide(snapshot: &mut Snapshot, pod: &Arc<PodInfo>) -> Result<String, String> {
    match Decider::new(7).decide(snapshot, pod) {
        Decision::Node(node) => Ok(snapshot.name(node).to_owned()),
        Decision::Nowhere(failure) => Err(failure.message.clone()),
    }
}

/// All nodes that may be chosen, whatever chance says.
pub(crate) fn best(snapshot: &mut Snapshot, pod: &Arc<PodInfo>) -> Vec<String> {
    let mut names: Vec<String> = (0..40)
        .filter_map(|seed| match Decider::new(seed).decide(snapshot, pod) {
            Decision::Node(node) => Some(snapshot.name(node).to_owned()),
            Decision::Nowhere(_) => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}
