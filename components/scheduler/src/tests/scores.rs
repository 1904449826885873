//! What makes one node better than another.

use serde_json::{Value, json};

use super::support::{asks, best, labelled, merge, node, placed, pod, snapshot, zoned};

#[test]
fn the_emptier_node_is_better() {
    let nodes = [node("a", json!({})), node("b", json!({}))];
    let mut all = snapshot(&nodes, &[placed("q", "a", asks("1", "2Gi"))]);
    assert_eq!(best(&mut all, &pod("p", asks("1", "2Gi"))), ["b"]);
    // Pods that ask for nothing count for something.
    let mut all = snapshot(&nodes, &[placed("q", "a", json!({}))]);
    assert_eq!(best(&mut all, &pod("p", json!({}))), ["b"]);
    // Equals are chosen by chance.
    let mut all = snapshot(&nodes, &[]);
    assert_eq!(best(&mut all, &pod("p", json!({}))), ["a", "b"]);
}

#[test]
fn cpu_and_memory_are_better_used_alike() {
    // Both are used to one half, in sum: least allocated does not tell them apart.
    let nodes = [node("a", json!({})), node("b", json!({}))];
    let lopsided = placed("q", "a", asks("3", "2Gi"));
    let even = placed("r", "b", asks("2", "4Gi"));
    let mut all = snapshot(&nodes, &[lopsided, even]);
    assert_eq!(best(&mut all, &pod("p", asks("500m", "1Gi"))), ["b"]);
}

#[test]
fn taints_that_only_deter_are_avoided() {
    let soft = json!({"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}});
    let nodes = [node("a", soft), node("b", json!({}))];
    let mut all = snapshot(&nodes, &[placed("q", "b", asks("3", "6Gi"))]);
    assert_eq!(best(&mut all, &pod("p", json!({}))), ["b"]);
    let tolerant = json!({"spec": {"tolerations": [{"key": "k", "operator": "Exists"}]}});
    assert_eq!(best(&mut all, &pod("p", tolerant)), ["a"]);
}

#[test]
fn preferred_labels_count_by_their_weights() {
    let nodes = [zoned("a", "a"), zoned("b", "b"), zoned("c", "c")];
    let zone = |zone: &str, weight: i32| {
        json!({"weight": weight, "preference": {"matchExpressions": [
        {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}]}})
    };
    let more = json!({"spec": {"affinity": {"nodeAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [zone("a", 10), zone("b", 20)]}}}});
    let mut all = snapshot(&nodes, &[]);
    assert_eq!(best(&mut all, &pod("p", more)), ["b"]);
}

#[test]
fn pods_are_drawn_to_and_driven_from_others() {
    let nodes = [zoned("a", "a"), zoned("b", "b")];
    let term = |weight: i32| {
        json!({"weight": weight, "podAffinityTerm": {
        "topologyKey": "topology.kubernetes.io/zone", "labelSelector": {"matchLabels": {"app": "db"}}}})
    };
    let preferred = |kind: &str| {
        json!({"spec": {"affinity": {kind: {
        "preferredDuringSchedulingIgnoredDuringExecution": [term(100)]}}}})
    };
    let db = || placed("db", "a", labelled("app", "db"));
    let mut all = snapshot(&nodes, &[db()]);
    assert_eq!(best(&mut all, &pod("p", preferred("podAffinity"))), ["a"]);
    assert_eq!(
        best(&mut all, &pod("p", preferred("podAntiAffinity"))),
        ["b"]
    );
    // The same, seen from the pod that is there.
    let fan = placed("fan", "a", preferred("podAffinity"));
    let mut all = snapshot(&nodes, &[fan]);
    assert_eq!(best(&mut all, &pod("p", labelled("app", "db"))), ["a"]);
    let foe = placed("foe", "a", preferred("podAntiAffinity"));
    let mut all = snapshot(&nodes, &[foe]);
    assert_eq!(best(&mut all, &pod("p", labelled("app", "db"))), ["b"]);
    // What is required by the pod that is there draws, too.
    let required = json!({"spec": {"affinity": {"podAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [term(1)["podAffinityTerm"]]}}}});
    let mut all = snapshot(&nodes, &[placed("needs", "a", required)]);
    assert_eq!(best(&mut all, &pod("p", labelled("app", "db"))), ["a"]);
}

#[test]
fn pods_are_spread_as_well_as_can_be() {
    let nodes = [zoned("a", "a"), zoned("b", "b")];
    let web = |name: &str, on: &str| placed(name, on, labelled("app", "web"));
    let mut more = labelled("app", "web");
    merge(
        &mut more,
        &json!({"spec": {"topologySpreadConstraints": [{"maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "web"}}}]}}),
    );
    let busy = placed("busy", "b", asks("1", "1Gi"));
    let mut all = snapshot(&nodes, &[web("w", "a"), busy]);
    assert_eq!(best(&mut all, &pod("p", more)), ["b"]);
}

#[test]
fn pods_of_a_service_or_owner_are_spread_by_default() {
    let nodes = [zoned("a", "a"), zoned("b", "b")];
    let web = |name: &str, on: &str| placed(name, on, labelled("app", "web"));
    let busy = placed("busy", "b", asks("1", "1Gi"));
    let mut all = snapshot(&nodes, &[web("w1", "a"), web("w2", "a"), busy]);
    let alone = pod("p", labelled("app", "web"));
    assert_eq!(best(&mut all, &alone), ["a"], "nobody selects it");
    let service: Value = json!({"spec": {"selector": {"app": "web"}}});
    let service = serde_json::from_value(service).expect("a service");
    let key = mainstay_client::Key::new("default", "web");
    all.set_service(&key, Some(&service));
    assert_eq!(best(&mut all, &alone), ["b"]);
    all.set_service(&key, None);
    assert_eq!(best(&mut all, &alone), ["a"]);
}

#[test]
fn images_that_are_there_count_by_their_size() {
    let images = |mega: u64| json!({"status": {"images": [{"names": ["app:1"], "sizeBytes": mega * 1024 * 1024}]}});
    let nodes = [node("a", images(900)), node("b", json!({}))];
    let mut all = snapshot(&nodes, &[]);
    assert_eq!(best(&mut all, &pod("p", json!({}))), ["a"]);
    let nodes = [node("a", images(40)), node("b", json!({}))];
    let mut all = snapshot(&nodes, &[]);
    assert_eq!(
        best(&mut all, &pod("p", json!({}))),
        ["a", "b"],
        "too small"
    );
}
