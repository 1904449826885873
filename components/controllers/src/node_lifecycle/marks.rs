//! The taints and labels that a node is to have. Taints that nobody made here stay as they are.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::nodes::{condition, ready_status, with, without};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Condition, status, and the key of the taint that stands for both.
const OF_CONDITIONS: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    (
        "MemoryPressure",
        "True",
        "node.kubernetes.io/memory-pressure",
    ),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    (
        "NetworkUnavailable",
        "True",
        "node.kubernetes.io/network-unavailable",
    ),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// A label and the older one that has the same value.
const LABELS: [(&str, &str); 2] = [
    ("kubernetes.io/os", "beta.kubernetes.io/os"),
    ("kubernetes.io/arch", "beta.kubernetes.io/arch"),
];

fn taint(key: &str, effect: &str, now: Timestamp) -> Taint {
    Taint {
        key: key.to_owned(),
        effect: effect.to_owned(),
        time_added: Some(Time(Timestamp::from_second(now.as_second()).unwrap_or(now))),
        value: None,
    }
}

fn taints(node: &Node) -> &[Taint] {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref());
    taints.unwrap_or_default()
}

/// The taints a node is to have now: those for the scheduler, and those that evict as far as they may change at once.
/// A node that is ready evicts nobody; one that is tainted changes from not ready to unreachable and back; one that is
/// to be tainted waits for its turn. `None` if it has them.
pub(super) fn wanted_taints(node: &Node, now: Timestamp) -> Option<Vec<Taint>> {
    let mut wanted = taints(node).to_vec();
    for (type_, status, key) in OF_CONDITIONS {
        match condition(node, type_).is_some_and(|c| c.status == status) {
            true => with(&mut wanted, taint(key, "NoSchedule", now)),
            false => without(&mut wanted, key, "NoSchedule"),
        }
    }
    match node.spec.as_ref().and_then(|spec| spec.unschedulable) {
        Some(true) => with(&mut wanted, taint(UNSCHEDULABLE, "NoSchedule", now)),
        _ => without(&mut wanted, UNSCHEDULABLE, "NoSchedule"),
    }
    match ready_status(node) {
        Some("True") => spare(&mut wanted),
        Some(_) if evicts(node) => evict(&mut wanted, node, now),
        _ => {}
    }
    (wanted != taints(node)).then_some(wanted)
}

/// Whether pods are evicted because the node is not ready.
pub(super) fn evicts(node: &Node) -> bool {
    let mut all = taints(node).iter();
    all.any(|t| t.effect == "NoExecute" && (t.key == NOT_READY || t.key == UNREACHABLE))
}

/// The taints of a node whose turn to be tainted it is; `None` if it is ready, or tainted.
pub(super) fn evicting_taints(node: &Node, now: Timestamp) -> Option<Vec<Taint>> {
    if evicts(node) || !matches!(ready_status(node), Some("False" | "Unknown")) {
        return None;
    }
    let mut wanted = taints(node).to_vec();
    evict(&mut wanted, node, now);
    Some(wanted)
}

/// The taints of a node from which nobody is to be evicted; `None` if nobody is.
pub(super) fn sparing_taints(node: &Node) -> Option<Vec<Taint>> {
    let mut wanted = taints(node).to_vec();
    spare(&mut wanted);
    (wanted != taints(node)).then_some(wanted)
}

fn spare(wanted: &mut Vec<Taint>) {
    without(wanted, NOT_READY, "NoExecute");
    without(wanted, UNREACHABLE, "NoExecute");
}

/// Never both: they are one condition.
fn evict(wanted: &mut Vec<Taint>, node: &Node, now: Timestamp) {
    let (key, other) = match ready_status(node) {
        Some("Unknown") => (UNREACHABLE, NOT_READY),
        _ => (NOT_READY, UNREACHABLE),
    };
    with(wanted, taint(key, "NoExecute", now));
    without(wanted, other, "NoExecute");
}

/// Labels that are to be set.
pub(super) fn wanted_labels(node: &Node) -> BTreeMap<&'static str, String> {
    let label = |name: &str| node.metadata.labels.as_ref()?.get(name);
    let wanted = LABELS.iter().filter_map(|(stable, old)| {
        let value = label(stable)?;
        (label(old) != Some(value)).then(|| (*old, value.clone()))
    });
    wanted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(taints: Value, conditions: &[(&str, &str)]) -> Node {
        let conditions = conditions.iter();
        let conditions: Vec<Value> = conditions
            .map(|(type_, status)| json!({"type": type_, "status": status}))
            .collect();
        let node = json!({"spec": {"taints": taints}, "status": {"conditions": conditions}});
        serde_json::from_value(node).expect("a node")
    }

    fn brief(taints: Option<Vec<Taint>>) -> Option<Vec<String>> {
        let brief = |t: &Taint| {
            let key = t.key.trim_start_matches("node.kubernetes.io/");
            format!("{key}:{}", t.effect)
        };
        taints.map(|taints| taints.iter().map(brief).collect())
    }

    fn some(taints: &[&str]) -> Option<Vec<String>> {
        Some(taints.iter().map(ToString::to_string).collect())
    }

    fn one(key: &str, effect: &str) -> Value {
        json!([{"key": format!("node.kubernetes.io/{key}"), "effect": effect}])
    }

    #[test]
    fn conditions_are_taints_for_the_scheduler() {
        let now = Timestamp::UNIX_EPOCH;
        let own = json!([{"key": "own", "effect": "NoSchedule"}]);
        let cases: [(&str, Node, Option<Vec<String>>); 9] = [
            ("ready", node(json!([]), &[("Ready", "True")]), None),
            ("nothing is known", node(json!([]), &[]), None),
            (
                "not ready",
                node(own.clone(), &[("Ready", "False")]),
                some(&["own:NoSchedule", "not-ready:NoSchedule"]),
            ),
            (
                "unreachable",
                node(one("not-ready", "NoSchedule"), &[("Ready", "Unknown")]),
                some(&["unreachable:NoSchedule"]),
            ),
            (
                "under pressure",
                node(
                    json!([]),
                    &[
                        ("Ready", "True"),
                        ("MemoryPressure", "True"),
                        ("DiskPressure", "True"),
                        ("PIDPressure", "True"),
                        ("NetworkUnavailable", "True"),
                    ],
                ),
                some(&[
                    "memory-pressure:NoSchedule",
                    "disk-pressure:NoSchedule",
                    "network-unavailable:NoSchedule",
                    "pid-pressure:NoSchedule",
                ]),
            ),
            (
                "pressure that nobody knows about",
                node(
                    one("memory-pressure", "NoSchedule"),
                    &[("Ready", "True"), ("MemoryPressure", "Unknown")],
                ),
                some(&[]),
            ),
            (
                "ready again",
                node(one("unreachable", "NoExecute"), &[("Ready", "True")]),
                some(&[]),
            ),
            (
                "heard of again, and not ready",
                node(one("unreachable", "NoExecute"), &[("Ready", "False")]),
                some(&["not-ready:NoSchedule", "not-ready:NoExecute"]),
            ),
            (
                "tainted, and no condition was ever told",
                node(one("unreachable", "NoExecute"), &[]),
                None,
            ),
        ];
        for (what, node, expected) in cases {
            assert_eq!(brief(wanted_taints(&node, now)), expected, "{what}");
        }
        let mut cordoned = node(json!([]), &[("Ready", "True")]);
        cordoned.spec.as_mut().expect("it has one").unschedulable = Some(true);
        let taints = wanted_taints(&cordoned, now);
        assert_eq!(brief(taints.clone()), some(&["unschedulable:NoSchedule"]));
        cordoned.spec.as_mut().expect("it has one").taints = taints;
        assert_eq!(wanted_taints(&cordoned, now), None);
    }

    #[test]
    fn taints_that_evict_wait_for_their_turn() {
        let now = Timestamp::UNIX_EPOCH;
        for (taints, ready, expected) in [
            (json!([]), "True", None),
            (json!([]), "False", some(&["not-ready:NoExecute"])),
            (json!([]), "Unknown", some(&["unreachable:NoExecute"])),
            (one("unreachable", "NoExecute"), "Unknown", None),
        ] {
            let node = node(taints, &[("Ready", ready)]);
            assert_eq!(brief(evicting_taints(&node, now)), expected, "{ready}");
        }
        let node = node(one("unreachable", "NoExecute"), &[("Ready", "Unknown")]);
        assert_eq!(brief(sparing_taints(&node)), some(&[]));
    }

    #[test]
    fn older_labels_follow_the_stable_ones() {
        let labels = json!({"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64",
            "beta.kubernetes.io/arch": "amd64"});
        let mut node = Node::default();
        assert!(wanted_labels(&node).is_empty());
        node.metadata.labels = serde_json::from_value(labels).expect("labels");
        let wanted = wanted_labels(&node);
        assert_eq!(wanted["beta.kubernetes.io/os"], "linux");
        assert_eq!(wanted["beta.kubernetes.io/arch"], "arm64");
        let labels = node.metadata.labels.as_mut().expect("they are");
        labels.extend(
            wanted
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        assert!(wanted_labels(&node).is_empty());
    }
}
