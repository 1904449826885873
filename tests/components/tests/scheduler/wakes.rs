//! What makes a pod fit that did not: it is placed then, and not at the next look at everything.

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams};
use mainstay_component_tests::{Faults, Instance, Scene, World};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;
use crate::support::{asks, bound, clear, knows, labelled, on, pod, refused, remove, start, with};

const HOST: &str = "kubernetes.io/hostname";

/// A cluster of one node, a pod on it, and a pod that waits.
struct Case {
    what: &'static str,
    node: Option<Value>,
    there: Value,
    waits: Value,
    /// Helps.
    change: Change,
}

enum Change {
    Node(Value),
    Room(Value),
    NewNode(Value),
    Gone,
    Ended,
    There(Value),
    Waiting(Value),
    NewPod(Value),
    Namespace(Value),
}

fn affinity(kind: &str, more: Value) -> Value {
    let term = json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": HOST});
    let term = with(&term, &more);
    json!({"spec": {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}})
}

fn port() -> Value {
    json!({"spec": {"containers": [
        {"name": "c", "image": "app:1", "ports": [{"containerPort": 80, "hostPort": 80}]},
    ]}})
}

fn case(what: &'static str, node: Value, there: Value, waits: Value, change: Change) -> Case {
    Case {
        what,
        node: Some(node),
        there,
        waits,
        change,
    }
}

fn by_nodes() -> Vec<Case> {
    let none = || json!({});
    let tainted = || json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}});
    vec![
        Case {
            what: "the first node comes",
            node: None,
            there: none(),
            waits: none(),
            change: Change::NewNode(none()),
        },
        case(
            "a larger node comes",
            none(),
            none(),
            asks(json!({"cpu": "6"})),
            Change::NewNode(json!({"status": {"allocatable": {"cpu": "8"}}})),
        ),
        case(
            "a node gets a label",
            none(),
            none(),
            json!({"spec": {"nodeSelector": {"disk": "ssd"}}}),
            Change::Node(labelled("disk", "ssd")),
        ),
        case(
            "a taint is taken away",
            tainted(),
            none(),
            none(),
            Change::Node(json!({"spec": {"taints": null}})),
        ),
        case(
            "a node is uncordoned",
            json!({"spec": {"unschedulable": true}}),
            none(),
            none(),
            Change::Node(json!({"spec": {"unschedulable": null}})),
        ),
        case(
            "a node grows",
            none(),
            none(),
            asks(json!({"cpu": "6"})),
            Change::Room(json!({"cpu": "8"})),
        ),
        case(
            "the pod tolerates what it did not",
            tainted(),
            none(),
            none(),
            Change::Waiting(json!({"spec": {"tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                 "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
                 "tolerationSeconds": 300},
                {"key": "k", "operator": "Exists"},
            ]}})),
        ),
    ]
}

fn by_pods() -> Vec<Case> {
    let none = || json!({});
    let web = || labelled("app", "web");
    vec![
        case(
            "a pod goes that took the room",
            none(),
            asks(json!({"cpu": "3"})),
            asks(json!({"cpu": "2"})),
            Change::Gone,
        ),
        case(
            "a pod comes to its end",
            none(),
            asks(json!({"cpu": "3"})),
            asks(json!({"cpu": "2"})),
            Change::Ended,
        ),
        case("a port is free again", none(), port(), port(), Change::Gone),
        case(
            "whom it does not like goes",
            none(),
            web(),
            affinity("podAntiAffinity", none()),
            Change::Gone,
        ),
        case(
            "who does not like it goes",
            none(),
            affinity("podAntiAffinity", none()),
            web(),
            Change::Gone,
        ),
        case(
            "whom it does not like is called otherwise",
            none(),
            web(),
            affinity("podAntiAffinity", none()),
            Change::There(labelled("app", "other")),
        ),
        case(
            "whom it wants comes",
            none(),
            none(),
            affinity("podAffinity", none()),
            Change::NewPod(web()),
        ),
        case(
            "whom it wants is called so",
            none(),
            none(),
            affinity("podAffinity", none()),
            Change::There(web()),
        ),
        case(
            "a namespace becomes one that it wants",
            none(),
            web(),
            affinity(
                "podAffinity",
                json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}),
            ),
            Change::Namespace(labelled("team", "a")),
        ),
    ]
}

async fn make(world: &World, scene: &Scene, change: Change) {
    match change {
        Change::Node(patch) => world.change_node("a", patch).await,
        Change::Room(room) => world.resize_node("a", room).await,
        Change::NewNode(more) => world.node("b", more).await,
        Change::Gone => remove(scene, "there").await,
        Change::Ended => {
            let there = scene.api::<Pod>().get("there").await.unwrap();
            scene.finishes(&there, "Succeeded").await;
        }
        Change::There(patch) => drop(scene.patch::<Pod>("there", patch).await),
        Change::Waiting(patch) => drop(scene.patch::<Pod>("waits", patch).await),
        Change::NewPod(more) => drop(pod(scene, "comes", on("a", more)).await),
        Change::Namespace(patch) => {
            let api: Api<Namespace> = Api::all(world.client.clone());
            let params = PatchParams::default();
            let patch = Patch::Merge(patch);
            api.patch(&scene.namespace, &params, &patch).await.unwrap();
        }
    }
}

fn attempts(instance: &Instance, result: &str) -> u64 {
    let start = format!(
        "scheduler_schedule_attempts_total{{profile=\"default-scheduler\",result=\"{result}\"}} "
    );
    let text = instance.metrics();
    let value = text.lines().find_map(|line| line.strip_prefix(&start));
    value.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn a_pod_that_did_not_fit_is_placed_when_something_helps() {
    let world = World::start().await;
    let running = Instance::start(&world.config, start, Faults::default());
    for case in by_nodes().into_iter().chain(by_pods()) {
        let scene = world.scene().await;
        let nodes = usize::from(case.node.is_some());
        if let Some(more) = case.node {
            world.node("a", more).await;
            pod(&scene, "there", on("a", case.there)).await;
        }
        knows(&running, nodes, nodes).await;
        pod(&scene, "waits", case.waits).await;
        refused(&scene, "waits").await;
        let new = matches!(case.change, Change::NewNode(_));
        let placed = matches!(case.change, Change::NewPod(_));
        make(&world, &scene, case.change).await;
        let node = wait_until(case.what, DONE, async || {
            let pod = scene.api::<Pod>().get("waits").await.unwrap();
            pod.spec.unwrap().node_name
        })
        .await;
        assert_eq!(node, if new { "b" } else { "a" }, "{}", case.what);
        assert!(!placed || bound(&scene, "comes").await == "a");
        let mut all = Vec::new();
        all.extend((nodes == 1).then_some("a"));
        all.extend(new.then_some("b"));
        clear(&world, &scene, all).await;
        knows(&running, 0, 0).await;
    }
}

/// An attempt in vain costs others their turn.
#[tokio::test]
async fn what_cannot_help_wakes_nobody() {
    let world = World::start().await;
    let scene = world.scene().await;
    let running = Instance::start(&world.config, start, Faults::default());
    world.node("a", json!({})).await;
    pod(&scene, "there", on("a", asks(json!({"cpu": "3"})))).await;
    knows(&running, 1, 1).await;
    pod(&scene, "waits", asks(json!({"cpu": "2"}))).await;
    refused(&scene, "waits").await;
    world.change_node("a", labelled("disk", "ssd")).await;
    let small = json!({"status": {"allocatable": {"cpu": "1"}}});
    world.node("b", small).await;
    let _: Pod = scene.patch("there", labelled("app", "web")).await;
    // All that was seen when this one is placed.
    pod(&scene, "last", asks(json!({"cpu": "1"}))).await;
    bound(&scene, "last").await;
    remove(&scene, "there").await;
    assert_eq!(bound(&scene, "waits").await, "a");
    wait_until("both are counted", DONE, async || {
        (attempts(&running, "scheduled") == 2).then_some(())
    })
    .await;
    assert_eq!(attempts(&running, "unschedulable"), 1);
}
