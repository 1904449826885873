//! Nodes that are not there, against a real apiserver.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

use std::time::Duration;

use fakenodes::{Options, annotations, run};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::DeleteParams;
use mainstay_client::metrics::Metrics;
use mainstay_component_tests::{Scene, World};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

const DONE: Duration = Duration::from_secs(20);

fn options() -> Options {
    Options {
        nodes: 3,
        zones: 2,
        start_after: Duration::from_millis(20),
        ends_after: Duration::from_millis(50),
        stops_after: Duration::from_millis(20),
        ..Options::default()
    }
}

async fn pod(scene: &Scene, name: &str, node: &str, annotations: Value, policy: &str) -> Pod {
    let manifest = json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "nodeName": node, "restartPolicy": policy,
            "initContainers": [{"name": "first", "image": "busybox"}],
            "containers": [{"name": "c", "image": "busybox"}],
            // As a new node has them before anybody found it ready.
            "tolerations": [{"operator": "Exists"}],
        },
    });
    scene.create(manifest).await
}

async fn comes_to(scene: &Scene, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait_until(&format!("{name} {what}"), DONE, async || {
        let pod = scene.api::<Pod>().get(name).await.unwrap();
        let status = serde_json::to_value(pod.status).unwrap();
        is(&status).then_some(status)
    })
    .await
}

fn is_ready(status: &Value) -> bool {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.any(|c| c["type"] == "Ready" && c["status"] == "True")
}

#[tokio::test]
async fn fake_nodes_register_and_play_the_lives_of_their_pods() {
    let world = World::start().await;
    let scene = world.scene().await;
    let metrics = Metrics::default();
    let client = world.client.clone();
    let playing = tokio::spawn(async move { run(client, options(), &metrics).await });

    let nodes: Api<Node> = Api::all(world.client.clone());
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), "kube-node-lease");
    for (name, zone) in [
        ("fake-0", "zone-0"),
        ("fake-1", "zone-1"),
        ("fake-2", "zone-0"),
    ] {
        let node = wait_until(&format!("{name} is ready"), DONE, async || {
            let node = nodes.get_opt(name).await.unwrap()?;
            leases.get_opt(name).await.unwrap()?;
            let status = serde_json::to_value(&node.status).unwrap();
            is_ready(&status).then_some(node)
        })
        .await;
        let labels = node.metadata.labels.unwrap();
        assert_eq!(labels["topology.kubernetes.io/zone"], zone);
    }

    pod(&scene, "serves", "fake-0", json!({}), "Always").await;
    let status = comes_to(&scene, "serves", "is ready", is_ready).await;
    assert_eq!(status["phase"], "Running");
    assert_eq!(status["hostIP"], "172.16.0.1");
    assert!(status["podIP"].as_str().unwrap().starts_with("10."));
    assert_eq!(
        status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"],
        0
    );
    assert_eq!(status["containerStatuses"][0]["ready"], true);

    let unready = json!({annotations::READY_AFTER: "never"});
    pod(&scene, "starts", "fake-1", unready, "Always").await;
    let status = comes_to(&scene, "starts", "runs", |s| s["phase"] == "Running").await;
    assert!(!is_ready(&status));

    pod(&scene, "ends", "fake-1", json!({}), "Never").await;
    comes_to(&scene, "ends", "ends", |s| s["phase"] == "Succeeded").await;
    let fails = json!({annotations::EXIT_CODE: "3"});
    pod(&scene, "fails", "fake-2", fails, "Never").await;
    let status = comes_to(&scene, "fails", "fails", |s| s["phase"] == "Failed").await;
    assert_eq!(
        status["containerStatuses"][0]["state"]["terminated"]["exitCode"],
        3
    );

    let pods = scene.api::<Pod>();
    pods.delete("serves", &DeleteParams::default())
        .await
        .unwrap();
    wait_until("what is deleted goes", DONE, async || {
        pods.get_opt("serves")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    playing.abort();
}
