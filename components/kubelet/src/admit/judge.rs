//! The judgement, as a pure function; reasons and texts are upstream's.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerPort, Pod, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::affinity::wants;
use super::requests::{Amounts, count, requests};
use crate::report::{MIRROR, is_static};

/// A node as far as it matters here.
#[derive(Clone, Debug, Default)]
pub struct NodeView {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    /// What pods may have of it.
    pub allocatable: BTreeMap<String, Quantity>,
}

/// Why a pod is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// As `OutOfcpu`.
    pub reason: String,
    pub message: String,
}

impl Rejection {
    fn new(reason: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    fn predicate(name: &str, why: &str) -> Self {
        Self::new(name, format!("Predicate {name} failed: {why}"))
    }
}

/// From this priority on a pod is critical: that of `system-cluster-critical`.
const CRITICAL: i32 = 2_000_000_000;
const OS: &str = "kubernetes.io/os";

/// Whether the node takes a pod beside `others`, those that it has taken and that are not over. Critical pods are taken
/// whatever the node has left; static ones whatever its taints are.
///
/// # Errors
/// The first reason against it.
pub fn judge<'a>(
    pod: &Pod,
    node: &NodeView,
    others: impl Iterator<Item = &'a Pod> + Clone,
) -> Result<(), Rejection> {
    let Some(spec) = &pod.spec else {
        return Ok(());
    };
    let labels = pod.metadata.labels.as_ref();
    if labels
        .and_then(|labels| labels.get(OS))
        .is_some_and(|os| os != "linux")
    {
        return Err(Rejection::new(
            "PodOSSelectorNodeLabelDoesNotMatch",
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        ));
    }
    if spec.os.as_ref().is_some_and(|os| os.name != "linux") {
        return Err(Rejection::new(
            "PodOSNotSupported",
            "Failed to admit pod as the OS field doesn't match node OS",
        ));
    }
    if !is_critical(pod) {
        fits(&requests(spec), node, others.clone())?;
    }
    if !wants(spec, &node.name, &node.labels) {
        let why = "node(s) didn't match Pod's node affinity/selector";
        return Err(Rejection::predicate("NodeAffinity", why));
    }
    if spec
        .node_name
        .as_ref()
        .is_some_and(|name| *name != node.name)
    {
        let why = "node(s) didn't match the requested node name";
        return Err(Rejection::predicate("NodeName", why));
    }
    let mut taken = others.flat_map(host_ports);
    if taken.any(|taken| host_ports(pod).any(|own| collide(&own, &taken))) {
        let why = "node(s) didn't have free ports for the requested pod ports";
        return Err(Rejection::predicate("NodePorts", why));
    }
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let mut taints = node
        .taints
        .iter()
        .filter(|taint| taint.effect == "NoExecute");
    if !is_static(pod) && taints.any(|taint| !tolerations.iter().any(|one| tolerates(one, taint))) {
        let why = "node(s) had taints that the pod didn't tolerate";
        return Err(Rejection::predicate("TaintToleration", why));
    }
    Ok(())
}

fn is_critical(pod: &Pod) -> bool {
    let marks = pod.metadata.annotations.as_ref();
    let mirror = marks.is_some_and(|marks| marks.contains_key(MIRROR));
    let priority = pod.spec.as_ref().and_then(|spec| spec.priority);
    mirror || is_static(pod) || priority.is_some_and(|priority| priority >= CRITICAL)
}

fn fits<'a>(
    wanted: &Amounts,
    node: &NodeView,
    others: impl Iterator<Item = &'a Pod> + Clone,
) -> Result<(), Rejection> {
    let has = |name: &str| node.allocatable.get(name).map(|amount| count(name, amount));
    let there = i64::try_from(others.clone().count()).unwrap_or(i64::MAX);
    let most = has("pods").unwrap_or(0);
    if there >= most {
        return Err(lacking("pods", 1, there, most));
    }
    let mut taken = Amounts::new();
    for spec in others.filter_map(|pod| pod.spec.as_ref()) {
        for (name, amount) in requests(spec) {
            let sum: &mut i64 = taken.entry(name).or_default();
            *sum = sum.saturating_add(amount);
        }
    }
    // In upstream's order: the common ones first.
    let common = ["cpu", "memory", "ephemeral-storage"];
    let rest = wanted.keys().map(String::as_str);
    let rest = rest.filter(|name| !common.contains(name));
    for name in common.into_iter().chain(rest) {
        let Some(amount) = wanted.get(name) else {
            continue;
        };
        let most = match has(name) {
            Some(most) => most,
            // Nodes need not know what is the cluster's.
            None if is_extended(name) => continue,
            None => 0,
        };
        let used = taken.get(name).copied().unwrap_or(0);
        if *amount > most.saturating_sub(used) {
            return Err(lacking(name, *amount, used, most));
        }
    }
    Ok(())
}

fn lacking(name: &str, requested: i64, used: i64, capacity: i64) -> Rejection {
    Rejection::new(
        &format!("OutOf{name}"),
        format!(
            "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
        ),
    )
}

/// Whether somebody else than Kubernetes has named it.
fn is_extended(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(domain, _)| !domain.ends_with("kubernetes.io"))
}

/// Ports of the host: address, protocol, number.
fn host_ports(pod: &Pod) -> impl Iterator<Item = (String, String, i32)> {
    let spec = pod.spec.iter();
    let containers = spec.flat_map(|spec| {
        let sidecars = spec.init_containers.iter().flatten();
        let sidecars = sidecars.filter(|one| one.restart_policy.as_deref() == Some("Always"));
        sidecars.chain(&spec.containers)
    });
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports.filter_map(|port: &ContainerPort| {
        let number = port.host_port.filter(|number| *number > 0)?;
        let address = port.host_ip.clone().filter(|address| !address.is_empty());
        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
        let everywhere = || "0.0.0.0".to_owned();
        Some((address.unwrap_or_else(everywhere), protocol, number))
    })
}

fn collide(one: &(String, String, i32), other: &(String, String, i32)) -> bool {
    let everywhere = |address: &str| address == "0.0.0.0";
    let address = one.0 == other.0 || everywhere(&one.0) || everywhere(&other.0);
    address && one.1 == other.1 && one.2 == other.2
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let word = |word: &Option<String>| word.clone().unwrap_or_default();
    let effect = word(&toleration.effect);
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    let key = word(&toleration.key);
    if !key.is_empty() && key != taint.key {
        return false;
    }
    match toleration.operator.as_deref() {
        None | Some("" | "Equal") => {
            !key.is_empty() && word(&toleration.value) == word(&taint.value)
        }
        Some("Exists") => true,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> Pod {
        let mut spec = spec;
        if spec.get("containers").is_none() {
            spec["containers"] = json!([{"name": "a", "resources": {"requests": {"cpu": "1"}}}]);
        }
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).expect("a pod")
    }

    fn node() -> NodeView {
        let amounts = [("cpu", "2"), ("memory", "1Gi"), ("pods", "3")];
        NodeView {
            name: "n".to_owned(),
            labels: BTreeMap::from([("disk".to_owned(), "fast".to_owned())]),
            taints: vec![Taint {
                key: "k".to_owned(),
                value: Some("v".to_owned()),
                effect: "NoSchedule".to_owned(),
                time_added: None,
            }],
            allocatable: amounts
                .map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())))
                .into(),
        }
    }

    fn verdict(pod: &Pod, node: &NodeView, others: &[Pod]) -> Option<(String, String)> {
        let judged = judge(pod, node, others.iter());
        judged.err().map(|no| (no.reason, no.message))
    }

    #[test]
    fn what_does_not_fit_is_told_in_upstreams_words() {
        let container = |amounts: Value| json!([{"name": "a", "resources": {"requests": amounts}}]);
        let port = |port: Value| json!({"containers": [{"name": "a", "ports": [port]}]});
        let taken = [pod(port(
            json!({"containerPort": 1, "hostPort": 80, "hostIP": "10.0.0.1", "protocol": "TCP"}),
        ))];
        let ports = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
        let affinity =
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
        let cases = [
            (json!({}), None),
            (
                json!({"nodeSelector": {"disk": "fast"}, "os": {"name": "linux"}}),
                None,
            ),
            (
                json!({"containers": container(json!({"cpu": "2500m"}))}),
                Some((
                    "OutOfcpu",
                    "Node didn't have enough resource: cpu, requested: 2500, used: 0, capacity: 2000",
                )),
            ),
            (
                json!({"containers": container(json!({"memory": "2Gi"}))}),
                Some((
                    "OutOfmemory",
                    "Node didn't have enough resource: memory, requested: 2147483648, used: 0, capacity: 1073741824",
                )),
            ),
            (
                json!({"containers": container(json!({"hugepages-2Mi": "2Mi"}))}),
                Some((
                    "OutOfhugepages-2Mi",
                    "Node didn't have enough resource: hugepages-2Mi, requested: 2097152, used: 0, capacity: 0",
                )),
            ),
            (
                json!({"containers": container(json!({"example.com/gpu": "1"}))}),
                None,
            ),
            (
                json!({"priority": 2_000_000_000, "containers": container(json!({"cpu": "9"}))}),
                None,
            ),
            (
                json!({"nodeSelector": {"disk": "slow"}}),
                Some(("NodeAffinity", affinity)),
            ),
            (
                json!({"nodeName": "m"}),
                Some((
                    "NodeName",
                    "Predicate NodeName failed: node(s) didn't match the requested node name",
                )),
            ),
            (
                port(json!({"containerPort": 1, "hostPort": 80})),
                Some(("NodePorts", ports)),
            ),
            (
                port(json!({"containerPort": 1, "hostPort": 80, "protocol": "UDP"})),
                None,
            ),
            (
                port(json!({"containerPort": 1, "hostPort": 80, "hostIP": "10.0.0.2"})),
                None,
            ),
            (port(json!({"containerPort": 80})), None),
            (
                json!({"os": {"name": "windows"}}),
                Some((
                    "PodOSNotSupported",
                    "Failed to admit pod as the OS field doesn't match node OS",
                )),
            ),
        ];
        for (spec, expected) in cases {
            let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
            assert_eq!(
                verdict(&pod(spec.clone()), &node(), &taken),
                expected,
                "{spec}"
            );
        }
    }

    #[test]
    fn others_take_room() {
        let one = pod(json!({}));
        assert_eq!(verdict(&one, &node(), std::slice::from_ref(&one)), None);
        let two = [one.clone(), one.clone()];
        let (reason, message) = verdict(&one, &node(), &two).expect("no room");
        assert_eq!(reason, "OutOfcpu");
        assert!(
            message.ends_with("requested: 1000, used: 2000, capacity: 2000"),
            "{message}"
        );
        let idle = || pod(json!({"containers": [{"name": "a"}]}));
        assert_eq!(verdict(&idle(), &node(), &two), None);
        let (reason, message) = verdict(&idle(), &node(), &[idle(), idle(), idle()]).expect("full");
        assert_eq!(reason, "OutOfpods");
        assert!(
            message.ends_with("requested: 1, used: 3, capacity: 3"),
            "{message}"
        );
    }

    #[test]
    fn only_taints_that_end_pods_count_and_not_for_static_ones() {
        let mut node = node();
        assert_eq!(verdict(&pod(json!({})), &node, &[]), None);
        node.taints[0].effect = "NoExecute".to_owned();
        let refused = verdict(&pod(json!({})), &node, &[]).expect("not tolerated");
        assert_eq!(refused.0, "TaintToleration");
        for (toleration, fits) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "k", "value": "v"}), true),
            (
                json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}),
                true,
            ),
            (
                json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"}),
                false,
            ),
            (json!({"key": "k", "value": "w"}), false),
            (json!({"key": "l", "operator": "Exists"}), false),
        ] {
            let tolerant = pod(json!({"tolerations": [toleration]}));
            assert_eq!(
                verdict(&tolerant, &node, &[]).is_none(),
                fits,
                "{toleration}"
            );
        }
        let mut own =
            pod(json!({"containers": [{"name": "a", "resources": {"requests": {"cpu": "9"}}}]}));
        let marks = [("kubernetes.io/config.source".to_owned(), "file".to_owned())];
        own.metadata.annotations = Some(marks.into());
        assert_eq!(verdict(&own, &node, &[]), None);
    }
}
