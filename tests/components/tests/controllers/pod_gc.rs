//! Pods that nobody else takes away.

use std::sync::Arc;
use std::time::Duration;

use controllers::{Context, Options, pod_gc};
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use mainstay_component_tests::sieve::ended_after_every_write;
use mainstay_component_tests::{Faults, Instance, Scene, World, with_rights_of};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

const ACCOUNT: &str = "pod-garbage-collector";
const ROUNDS: &str = "workqueue_work_duration_seconds_count{name=\"pod_garbage_collector\"}";

fn with(mut cx: Context, threshold: usize) -> BoxFuture<'static, ()> {
    cx.options = Arc::new(Options {
        pod_gc_period: Duration::from_millis(100),
        pod_gc_quarantine: Duration::from_millis(400),
        terminated_pod_gc_threshold: threshold,
        ..Options::default()
    });
    Box::pin(pod_gc(cx))
}

fn start(cx: Context) -> BoxFuture<'static, ()> {
    with(cx, 1000)
}

fn keeps_two(cx: Context) -> BoxFuture<'static, ()> {
    with(cx, 2)
}

/// A pod that a finalizer holds, so that it can be seen how it went; on no node if `node` is empty.
async fn held(scene: &Scene, name: &str, node: &str) -> Pod {
    let node = (!node.is_empty()).then_some(node);
    let pod = json!({
        "metadata": {"name": name, "finalizers": ["test.mainstay.io/held"]},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "busybox"}]},
    });
    scene.create(pod).await
}

async fn release(scene: &Scene, name: &str) {
    let _: Pod = scene
        .patch(name, json!({"metadata": {"finalizers": null}}))
        .await;
    wait_until(&format!("{name} is gone"), DONE, async || {
        let pod = scene.api::<Pod>().get_opt(name).await.unwrap();
        pod.is_none().then_some(())
    })
    .await;
}

async fn node(scene: &Scene, name: &str, taints: Value) {
    let api: Api<Node> = Api::all(scene.client.clone());
    let node = json!({"metadata": {"name": name}, "spec": {"taints": taints}});
    let node = serde_json::from_value(node).unwrap();
    api.create(&PostParams::default(), &node).await.unwrap();
}

/// Waits until a pod has failed and was deleted at once; its status.
async fn goes(scene: &Scene, name: &str) -> Value {
    wait_until(&format!("{name} is taken away"), DONE, async || {
        let pod = scene.api::<Pod>().get(name).await.unwrap();
        let at_once = pod.metadata.deletion_grace_period_seconds == Some(0);
        let status = serde_json::to_value(pod.status).unwrap();
        // One on no node goes at once anyway; that it has failed is said then.
        (at_once && status["phase"] == "Failed").then_some(status)
    })
    .await
}

#[tokio::test]
async fn pods_of_a_node_that_is_gone_have_failed_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let writes = ended_after_every_write(&world, start, async |scene| {
        for name in ["one", "two"] {
            let pod = held(scene, name, &format!("{}-gone", scene.namespace)).await;
            scene.runs(&pod, true).await;
        }
        for name in ["one", "two"] {
            let status = goes(scene, name).await;
            let conditions = status["conditions"].as_array().unwrap();
            let mut told = conditions
                .iter()
                .filter(|c| c["type"] == "DisruptionTarget");
            let told = told.next().unwrap();
            assert_eq!(told["reason"], "DeletionByPodGC");
            assert_eq!(told["message"], "PodGC: node no longer exists");
            release(scene, name).await;
        }
    })
    .await;
    assert_eq!(writes, 4, "two failures and two deletions");
}

#[tokio::test]
async fn pods_that_no_kubelet_ends_are_ended_once() {
    let world = World::start().await;
    let scene = world.scene().await;
    let out = json!([{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]);
    node(&scene, "down", out.clone()).await;
    node(&scene, "up", out).await;
    let api: Api<Node> = Api::all(scene.client.clone());
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let params = PatchParams::default();
    api.patch_status("up", &params, &Patch::Merge(ready))
        .await
        .unwrap();
    for (name, node) in [
        ("new", ""),
        ("stuck", "down"),
        ("ends", "up"),
        ("serves", "down"),
    ] {
        let pod = held(&scene, name, node).await;
        if !node.is_empty() {
            scene.runs(&pod, true).await;
        }
        if name != "serves" {
            let how = DeleteParams::default().grace_period(600);
            scene.api::<Pod>().delete(name, &how).await.unwrap();
        }
    }
    let running = Instance::start(
        &world.config,
        |cx| start(with_rights_of(ACCOUNT, cx)),
        Faults::default(),
    );
    for name in ["new", "stuck"] {
        goes(&scene, name).await;
    }
    running.looks_again(ROUNDS, 3).await;
    let writes = running.faults.writes();
    running.looks_again(ROUNDS, 5).await;
    assert_eq!(
        running.faults.writes(),
        writes,
        "finalizers hold them, and it waits"
    );
    let ends = scene.api::<Pod>().get("ends").await.unwrap();
    assert_eq!(ends.metadata.deletion_grace_period_seconds, Some(600));
    let serves = scene.api::<Pod>().get("serves").await.unwrap();
    assert!(serves.metadata.deletion_timestamp.is_none());
}

#[tokio::test]
async fn as_many_finished_pods_are_kept_as_it_is_told() {
    let world = World::start().await;
    let scene = world.scene().await;
    node(&scene, "n", json!([])).await;
    for name in ["a", "b", "c", "d", "runs"] {
        let pod = json!({
            "metadata": {"name": name},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "busybox"}]},
        });
        let pod: Pod = scene.create(pod).await;
        if name == "runs" {
            scene.runs(&pod, true).await;
        } else {
            scene.finishes(&pod, "Succeeded").await;
        }
    }
    let evicted = json!({"status": {"phase": "Failed", "reason": "Evicted"}});
    let params = PatchParams::default();
    let pods = scene.api::<Pod>();
    pods.patch_status("d", &params, &Patch::Merge(evicted))
        .await
        .unwrap();
    let running = Instance::start(&world.config, keeps_two, Faults::default());
    wait_until(
        "two are kept, and none that was evicted",
        DONE,
        async || {
            let mut names: Vec<_> = scene
                .live_pods()
                .await
                .into_iter()
                .filter_map(|pod| pod.metadata.name)
                .collect();
            names.sort();
            (names == ["b", "c", "runs"]).then_some(())
        },
    )
    .await;
    running.looks_again(ROUNDS, 3).await;
    assert_eq!(running.faults.writes(), 2);
}

#[tokio::test]
async fn a_node_that_was_not_seen_to_come_is_not_missing() {
    let world = World::start().await;
    let scene = world.scene().await;
    node(&scene, "seen", json!([])).await;
    let running = Instance::start(&world.config, start, Faults::default());
    running.looks_again(ROUNDS, 1).await;
    running.faults.blind("nodes");
    node(&scene, "unseen", json!([])).await;
    held(&scene, "new", "unseen").await;
    // Longer than a node may be missing: the server is asked, and has it.
    running.looks_again(ROUNDS, 10).await;
    assert_eq!(running.faults.writes(), 0);
    let nodes: Api<Node> = Api::all(scene.client.clone());
    nodes
        .delete("unseen", &DeleteParams::default())
        .await
        .unwrap();
    goes(&scene, "new").await;
    release(&scene, "new").await;
    running.faults.miss("nodes");
    running.looks_again(ROUNDS, 3).await;
    assert_eq!(running.faults.writes(), 2);
}
