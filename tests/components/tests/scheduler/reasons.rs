//! What is said about pods that fit nowhere: upstream's words, in the condition and in the event.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::Api;
use kube::api::PostParams;
use mainstay_component_tests::{Faults, Instance, World};
use serde_json::{Value, json};

use crate::support::{asks, bound, clear, labelled, on, pod, refused, start, told, with};

struct Case {
    what: &'static str,
    nodes: Vec<(&'static str, Value)>,
    /// Pods that are there already.
    there: Vec<(&'static str, Value)>,
    pod: Value,
    says: &'static str,
}

const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";

fn affinity(kind: &str, topology: &str) -> Value {
    json!({"spec": {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": topology},
    ]}}}})
}

fn spread() -> Value {
    with(
        &labelled("app", "web"),
        &json!({"spec": {"topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        }]}}),
    )
}

fn port(number: u16) -> Value {
    json!({"spec": {"containers": [
        {"name": "c", "image": "app:1", "ports": [{"containerPort": number, "hostPort": number}]},
    ]}})
}

fn taint(effect: &str) -> Value {
    json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": effect}]}})
}

fn named(node: &str) -> Value {
    json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [{"matchFields": [
            {"key": "metadata.name", "operator": "In", "values": [node]}]}]}}}}})
}

/// Room for too little, and reasons of several nodes.
fn resources() -> Vec<Case> {
    vec![
        Case {
            what: "no nodes",
            nodes: vec![],
            there: vec![],
            pod: json!({}),
            says: "no nodes available to schedule pods",
        },
        Case {
            what: "too few CPUs left on one, another label on two",
            nodes: vec![
                ("a", labelled("disk", "ssd")),
                ("b", json!({})),
                ("c", json!({})),
            ],
            there: vec![("big", on("a", asks(json!({"cpu": "3"}))))],
            pod: with(
                &asks(json!({"cpu": "2"})),
                &json!({"spec": {"nodeSelector": {"disk": "ssd"}}}),
            ),
            says: "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't match Pod's node affinity/selector. \
                preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, \
                2 Preemption is not helpful for scheduling.",
        },
        Case {
            what: "more CPUs than the node has: nobody's going would help",
            nodes: vec![("a", json!({}))],
            there: vec![],
            pod: asks(json!({"cpu": "5"})),
            says: "0/1 nodes are available: 1 Insufficient cpu. \
                preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        },
        Case {
            what: "too little of two resources on one node, and what others use",
            nodes: vec![("a", json!({}))],
            there: vec![("big", on("a", asks(json!({"cpu": "3", "memory": "7Gi"}))))],
            pod: asks(json!({"cpu": "2", "memory": "2Gi"})),
            says: "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. \
                preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        },
        Case {
            what: "a device that no node has",
            nodes: vec![("a", json!({}))],
            there: vec![],
            pod: asks(json!({"example.com/gpu": "1"})),
            says: "0/1 nodes are available: 1 Insufficient example.com/gpu. \
                preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        },
        Case {
            what: "no room for one more",
            nodes: vec![("a", json!({"status": {"allocatable": {"pods": "1"}}}))],
            there: vec![("one", on("a", json!({})))],
            pod: json!({}),
            says: "0/1 nodes are available: 1 Too many pods. \
                preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        },
        Case {
            what: "a pod that drives nobody away",
            nodes: vec![("a", json!({}))],
            there: vec![],
            pod: with(
                &asks(json!({"cpu": "5"})),
                &json!({"spec": {"priorityClassName": "polite"}}),
            ),
            says: "0/1 nodes are available: 1 Insufficient cpu. \
                preemption: not eligible due to preemptionPolicy=Never.",
        },
    ]
}

/// Nodes that do not want the pod, or that it does not want.
fn nodes() -> Vec<Case> {
    vec![
        Case {
            what: "cordoned, and tainted in two ways",
            nodes: vec![
                ("a", json!({"spec": {"unschedulable": true}})),
                ("b", taint("NoSchedule")),
                ("c", taint("NoExecute")),
            ],
            there: vec![],
            pod: json!({}),
            says: "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) had untolerated taint(s). \
                preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
        },
        Case {
            what: "the one node it names is cordoned",
            nodes: vec![
                ("a", json!({})),
                ("b", json!({"spec": {"unschedulable": true}})),
            ],
            there: vec![],
            pod: named("b"),
            says: "0/2 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity], \
                1 node(s) were unschedulable. \
                preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
        },
        Case {
            what: "a port that is taken",
            nodes: vec![("a", json!({}))],
            there: vec![("has", on("a", port(8080)))],
            pod: port(8080),
            says: "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. \
                preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        },
    ]
}

/// Pods that want others near, or far.
fn others() -> Vec<Case> {
    let web = |node: &str| on(node, labelled("app", "web"));
    vec![
        Case {
            what: "nobody it wants to be with",
            nodes: vec![("a", json!({}))],
            there: vec![],
            pod: affinity("podAffinity", HOST),
            says: "0/1 nodes are available: 1 node(s) didn't match pod affinity rules. \
                preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        },
        Case {
            what: "somebody it does not want to be with",
            nodes: vec![("a", json!({}))],
            there: vec![("web", web("a"))],
            pod: affinity("podAntiAffinity", HOST),
            says: "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules. \
                preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        },
        Case {
            what: "somebody who does not want to be with it",
            nodes: vec![("a", json!({}))],
            there: vec![("shy", on("a", affinity("podAntiAffinity", HOST)))],
            pod: labelled("app", "web"),
            says: "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules. \
                preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        },
        Case {
            what: "too many in its zone, and a node in none",
            nodes: vec![
                ("a", labelled(ZONE, "one")),
                (
                    "b",
                    with(
                        &labelled(ZONE, "two"),
                        &json!({"spec": {"unschedulable": true}}),
                    ),
                ),
                ("c", json!({})),
            ],
            there: vec![("web", web("a"))],
            pod: spread(),
            says: "0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints, \
                1 node(s) didn't match pod topology spread constraints (missing required label), \
                1 node(s) were unschedulable. preemption: 0/3 nodes are available: \
                1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.",
        },
    ]
}

#[tokio::test]
async fn pods_that_fit_nowhere_are_told_why_in_upstreams_words() {
    let world = World::start().await;
    let polite = json!({"metadata": {"name": "polite"}, "value": 0, "preemptionPolicy": "Never"});
    let polite: PriorityClass = serde_json::from_value(polite).unwrap();
    let classes: Api<PriorityClass> = Api::all(world.client.clone());
    classes
        .create(&PostParams::default(), &polite)
        .await
        .unwrap();
    for case in resources().into_iter().chain(nodes()).chain(others()) {
        let scene = world.scene().await;
        for (name, more) in &case.nodes {
            world.node(name, more.clone()).await;
        }
        for (name, more) in &case.there {
            pod(&scene, name, more.clone()).await;
        }
        pod(&scene, "new", case.pod).await;
        // It begins with all of the cluster: what is said is not about a part of it.
        let running = Instance::start(&world.config, start, Faults::default());
        let says = refused(&scene, "new").await;
        assert_eq!(says, case.says, "{}", case.what);
        let says = told(&scene, "new", "FailedScheduling").await;
        assert_eq!(says, case.says, "{}", case.what);
        drop(running);
        clear(&world, &scene, case.nodes.iter().map(|(name, _)| *name)).await;
    }
}

#[tokio::test]
async fn gated_pods_wait_and_say_so() {
    let world = World::start().await;
    let scene = world.scene().await;
    world.node("a", json!({})).await;
    let gates = json!({"spec": {"schedulingGates": [{"name": "first"}, {"name": "second"}]}});
    let gated = pod(&scene, "gated", gates).await;
    let conditions = gated.status.unwrap().conditions.unwrap();
    assert_eq!(conditions[0].type_, "PodScheduled");
    assert_eq!(conditions[0].reason.as_deref(), Some("SchedulingGated"));
    let says = "Scheduling is blocked due to non-empty scheduling gates";
    assert_eq!(conditions[0].message.as_deref(), Some(says));
    let running = Instance::start(&world.config, start, Faults::default());
    running.idle().await;
    let waits = "scheduler_pending_pods{queue=\"gated\"} 1\n";
    assert!(running.metrics().contains(waits), "{}", running.metrics());
    let one = json!({"spec": {"schedulingGates": [{"name": "second"}]}});
    let _: Pod = scene.patch("gated", one).await;
    pod(&scene, "free", json!({})).await;
    bound(&scene, "free").await;
    let still = scene.api::<Pod>().get("gated").await.unwrap();
    assert_eq!(still.spec.unwrap().node_name, None, "one gate is left");
    let none = json!({"spec": {"schedulingGates": []}});
    let _: Pod = scene.patch("gated", none).await;
    assert_eq!(bound(&scene, "gated").await, "a");
}
