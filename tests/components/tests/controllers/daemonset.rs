//! Daemon sets.

use std::collections::BTreeSet;

use controllers::{Context, daemonsets};
use futures_util::future::BoxFuture;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Scene, World, is_ready};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

fn start(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(daemonsets(cx))
}

fn manifest() -> Value {
    json!({
        "metadata": {"name": "logs"},
        "spec": {
            "selector": {"matchLabels": {"app": "logs"}},
            "template": {
                "metadata": {"labels": {"app": "logs"}},
                "spec": {"containers": [{"name": "c", "image": "one"}]},
            },
        },
    })
}

async fn taint(world: &World, node: &str, taints: Value) {
    let nodes: Api<Node> = Api::all(world.client.clone());
    let patch = Patch::Merge(json!({"spec": {"taints": taints}}));
    nodes
        .patch(node, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

async fn add_nodes(world: &World, names: &[&str]) {
    let nodes: Api<Node> = Api::all(world.client.clone());
    for name in names {
        let node = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
        // A new node is tainted as not ready.
        taint(world, name, Value::Null).await;
    }
}

/// The node that a pod is for.
fn node(pod: &Pod) -> String {
    let affinity = pod
        .spec
        .as_ref()
        .unwrap()
        .affinity
        .clone()
        .unwrap()
        .node_affinity
        .unwrap();
    let required = affinity
        .required_during_scheduling_ignored_during_execution
        .unwrap();
    let fields = required.node_selector_terms[0]
        .match_fields
        .clone()
        .unwrap();
    fields[0].values.clone().unwrap().remove(0)
}

/// Plays the kubelets until the set tells what is waited for; at least `least` pods are ready all the time, and no node
/// has two.
async fn goes_on_until(scene: &Scene, least: usize, what: &str, told: impl Fn(&Value) -> bool) {
    wait_until(what, DONE, async || {
        let pods = scene.live_pods().await;
        let nodes: BTreeSet<_> = pods.iter().map(node).collect();
        assert_eq!(nodes.len(), pods.len(), "one on each node");
        assert!(
            pods.iter().filter(|pod| is_ready(pod)).count() >= least,
            "{least} are ready"
        );
        for pod in pods.iter().filter(|pod| !is_ready(pod)) {
            scene.runs(pod, true).await;
        }
        let set = scene.api::<DaemonSet>().get("logs").await.unwrap();
        let status = serde_json::to_value(&set.status).unwrap();
        let observed = status["observedGeneration"].as_i64() == set.metadata.generation;
        (observed && told(&status)).then_some(())
    })
    .await;
}

fn has(status: &Value, nodes: i64) -> bool {
    [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "numberAvailable",
        "updatedNumberScheduled",
    ]
    .iter()
    .all(|count| status[count].as_i64().unwrap_or(0) == nodes)
}

#[tokio::test]
async fn an_update_goes_node_by_node_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    add_nodes(&world, &["n1", "n2", "n3"]).await;
    let writes = ended_after_every_write(&world, start, async |scene| {
        let _: DaemonSet = scene.create(manifest()).await;
        goes_on_until(scene, 0, "all nodes have one", |status| has(status, 3)).await;
        let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}});
        let _: DaemonSet = scene.patch("logs", image).await;
        goes_on_until(scene, 2, "all are updated", |status| has(status, 3)).await;
        let image = |pod: &Pod| pod.spec.as_ref().unwrap().containers[0].image.clone();
        let pods = scene.live_pods().await;
        assert!(pods.iter().all(|pod| image(pod).as_deref() == Some("two")));
    })
    .await;
    assert!(writes >= 10, "nine pods come and go: {writes}");
}

#[tokio::test]
async fn pods_follow_nodes_and_those_that_fail_are_replaced() {
    let world = World::start().await;
    add_nodes(&world, &["n1", "n2"]).await;
    let scene = world.scene().await;
    let running = Instance::start(&world.config, start, Faults::default());
    let _: DaemonSet = scene.create(manifest()).await;
    goes_on_until(&scene, 0, "both nodes have one", |status| has(status, 2)).await;
    add_nodes(&world, &["n3"]).await;
    goes_on_until(&scene, 2, "the new node has one", |status| has(status, 3)).await;
    taint(
        &world,
        "n1",
        json!([{"key": "away", "effect": "NoExecute"}]),
    )
    .await;
    goes_on_until(&scene, 2, "the first node has none", |status| {
        has(status, 2) && status["numberMisscheduled"] == 0
    })
    .await;
    let pods = scene.live_pods().await;
    assert!(pods.iter().all(|pod| node(pod) != "n1"));
    scene.finishes(&pods[0], "Failed").await;
    wait_until("the one that failed is replaced", DONE, async || {
        let now = scene.live_pods().await;
        let gone = now
            .iter()
            .all(|pod| pod.metadata.uid != pods[0].metadata.uid);
        (gone && now.len() == 2).then_some(())
    })
    .await;
    goes_on_until(&scene, 1, "both are ready", |status| has(status, 2)).await;
    drop(running);
    writes_nothing_more(&world, start).await;
}
