//! Pods on nodes that are tainted.

use controllers::{Context, taint_eviction};
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Scene, World, with_rights_of};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

fn start(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(taint_eviction(cx))
}

fn nodes(scene: &Scene) -> Api<Node> {
    Api::all(scene.client.clone())
}

async fn node(scene: &Scene, name: &str) {
    let node = json!({"metadata": {"name": name}, "spec": {"taints": []}});
    let node = serde_json::from_value(node).unwrap();
    let params = PostParams::default();
    nodes(scene).create(&params, &node).await.unwrap();
}

async fn taint(scene: &Scene, name: &str, taints: Value) {
    let patch = Patch::Merge(json!({"spec": {"taints": taints}}));
    let params = PatchParams::default();
    nodes(scene).patch(name, &params, &patch).await.unwrap();
}

fn broken() -> Value {
    json!([{"key": "broken", "effect": "NoExecute"}])
}

/// A pod that tolerates being there for some seconds, for ever (-1), or not at all (`None`).
async fn pod(scene: &Scene, name: &str, node: &str, tolerates: Option<i64>) {
    let toleration = tolerates.map(|seconds| {
        let seconds = (seconds >= 0).then_some(seconds);
        json!({"key": "broken", "operator": "Exists", "effect": "NoExecute",
            "tolerationSeconds": seconds})
    });
    let tolerations: Vec<Value> = toleration.into_iter().collect();
    let pod = json!({
        // Held, so that it can be seen how it went.
        "metadata": {"name": name, "finalizers": ["test.mainstay.io/held"]},
        "spec": {
            "nodeName": node, "tolerations": tolerations,
            "containers": [{"name": "c", "image": "busybox"}],
        },
    });
    let pod: Pod = scene.create(pod).await;
    scene.runs(&pod, true).await;
}

async fn goes(scene: &Scene, name: &str) -> Pod {
    wait_until(&format!("{name} goes"), DONE, async || {
        let pod = scene.api::<Pod>().get(name).await.unwrap();
        pod.metadata.deletion_timestamp.is_some().then_some(pod)
    })
    .await
}

async fn stays(scene: &Scene, name: &str) -> bool {
    let pod = scene.api::<Pod>().get(name).await.unwrap();
    pod.metadata.deletion_timestamp.is_none()
}

async fn is_told(scene: &Scene, pod: &str, message: &str) {
    wait_until(message, DONE, async || {
        let events = scene.list::<Event>().await;
        let mut about = events.iter().filter(|event| {
            event.involved_object.name.as_deref() == Some(pod)
                && event.reason.as_deref() == Some("TaintManagerEviction")
        });
        about
            .any(|event| {
                let text = event.message.as_deref().unwrap_or_default();
                text == format!("{message} Pod {}/{pod}", scene.namespace)
            })
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn pods_go_from_a_tainted_node_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let writes = ended_after_every_write(&world, start, async |scene| {
        let name = scene.namespace.to_string();
        node(scene, &name).await;
        pod(scene, "at-once", &name, None).await;
        pod(scene, "soon", &name, Some(1)).await;
        pod(scene, "later", &name, Some(3600)).await;
        pod(scene, "never", &name, Some(-1)).await;
        taint(scene, &name, broken()).await;
        for name in ["at-once", "soon"] {
            let status = serde_json::to_value(goes(scene, name).await.status).unwrap();
            let conditions = status["conditions"].as_array().unwrap();
            let mut told = conditions
                .iter()
                .filter(|c| c["type"] == "DisruptionTarget");
            let told = told.next().unwrap();
            assert_eq!(told["reason"], "DeletionByTaintManager");
            assert_eq!(
                told["message"],
                "Taint manager: deleting due to NoExecute taint"
            );
        }
        assert!(stays(scene, "later").await && stays(scene, "never").await);
    })
    .await;
    assert_eq!(writes, 4, "two conditions and two deletions");
}

#[tokio::test]
async fn a_taint_that_goes_spares_who_is_still_there() {
    let world = World::start().await;
    let scene = world.scene().await;
    node(&scene, "n").await;
    node(&scene, "other").await;
    pod(&scene, "patient", "n", Some(5)).await;
    taint(&scene, "n", broken()).await;
    let running = Instance::start(
        &world.config,
        |cx| start(with_rights_of("node-controller", cx)),
        Faults::default(),
    );
    // One that comes to a tainted node is judged as well.
    pod(&scene, "late", "n", None).await;
    goes(&scene, "late").await;
    is_told(&scene, "late", "Marking for deletion").await;
    taint(&scene, "n", json!([])).await;
    is_told(&scene, "patient", "Cancelling deletion of").await;
    // Tainted anew, its time begins anew.
    taint(&scene, "n", broken()).await;
    running.idle().await;
    assert!(stays(&scene, "patient").await);
    goes(&scene, "patient").await;
    writes_nothing_more(&world, start).await;
}

#[tokio::test]
async fn a_node_whose_taint_was_taken_away_unseen_evicts_nobody() {
    let world = World::start().await;
    let scene = world.scene().await;
    node(&scene, "n").await;
    pod(&scene, "patient", "n", Some(1)).await;
    let running = Instance::start(&world.config, start, Faults::default());
    taint(&scene, "n", broken()).await;
    running.idle().await;
    running.faults.blind("nodes");
    taint(&scene, "n", json!([])).await;
    pod(&scene, "witness", "n", None).await;
    // Both are judged by what is no longer so, and by what the server says before they go.
    let judged = "workqueue_work_duration_seconds_count{name=\"noexec_taint_pod\"}";
    running.looks_again(judged, 2).await;
    assert_eq!(running.faults.writes(), 0);
    running.faults.miss("nodes");
    running.idle().await;
    assert!(stays(&scene, "patient").await && stays(&scene, "witness").await);
    taint(&scene, "n", broken()).await;
    goes(&scene, "witness").await;
    goes(&scene, "patient").await;
    // Another pod of the name, of which the controller knows nothing yet, is not the one that is to go.
    taint(&scene, "n", json!([])).await;
    running.idle().await;
    running.faults.blind("pods");
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let pods = scene.api::<Pod>();
    let params = PatchParams::default();
    pods.patch("witness", &params, &free).await.unwrap();
    let now = DeleteParams::default().grace_period(0);
    let _ = pods.delete("witness", &now).await;
    wait_until("its name is free", DONE, async || {
        let gone = pods.get_opt("witness").await.unwrap().is_none();
        gone.then_some(())
    })
    .await;
    pod(&scene, "witness", "n", Some(-1)).await;
    taint(&scene, "n", broken()).await;
    running.idle().await;
    running.faults.see("pods");
    running.idle().await;
    assert!(stays(&scene, "witness").await);
}
