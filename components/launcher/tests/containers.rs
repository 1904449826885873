//! Real containers on hosts that are namespaces: reached through a service, alive after the kubelet, the runtime and
//! the power went. Needs root, containerd and a kubelet.

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;

use common::{Cluster, missing};

const PATIENCE: Duration = Duration::from_secs(120);

/// The pods of the test, if all of them are ready.
async fn ready(pods: &Api<Pod>, wanted: usize) -> Option<Vec<Pod>> {
    let list = pods
        .list(&ListParams::default().labels("app=web"))
        .await
        .ok()?;
    let ready = |pod: &Pod| {
        let status = pod.status.as_ref()?;
        let mut conditions = status.conditions.as_ref()?.iter();
        let ready = conditions.any(|one| one.type_ == "Ready" && one.status == "True");
        (ready && pod.metadata.deletion_timestamp.is_none()).then_some(())
    };
    let all = list.items.len() == wanted && list.iter().all(|pod| ready(pod).is_some());
    all.then_some(list.items)
}

async fn until_ready(cluster: &Cluster, pods: &Api<Pod>, wanted: usize) -> Vec<Pod> {
    let begun = Instant::now();
    loop {
        if let Some(ready) = ready(pods, wanted).await {
            return ready;
        }
        if begun.elapsed() > PATIENCE {
            let log = cluster.mainstay(&["logs", "worker-1/kubelet"]);
            let log = String::from_utf8_lossy(&log.stdout).into_owned();
            panic!("the pods do not get ready:\n{log}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Ids of the containers that run, which a restart would change.
fn containers(pods: &[Pod]) -> Vec<String> {
    let mut ids: Vec<String> = pods
        .iter()
        .filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref())
        .flatten()
        .filter_map(|status| status.container_id.clone())
        .collect();
    ids.sort();
    ids
}

/// Waits until a service answers through a host, with the name of any of its pods.
async fn answers(cluster: &Cluster, host: &str, port: u16) {
    let begun = Instant::now();
    let url = format!("http://{host}:{port}/hostname");
    loop {
        let asked = [
            "exec",
            "master-1",
            "curl",
            "--silent",
            "--max-time",
            "2",
            &url,
        ];
        let said = cluster.mainstay(&asked);
        if String::from_utf8_lossy(&said.stdout).starts_with("web-") {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{url} does not answer");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn create_web(cluster: &Cluster) -> u16 {
    let client = cluster.client().await;
    let labels = json!({"app": "web"});
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{
                "name": "web", "image": "mainstay.io/busybox:local",
                "command": ["httpd", "-f", "-p", "80", "-h", "/etc"],
            }]}},
        },
    }))
    .expect("a deployment");
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "default");
    let created = deployments
        .create(&PostParams::default(), &deployment)
        .await;
    created.expect("it is created");
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {"type": "NodePort", "selector": labels, "ports": [{"port": 80}]},
    }))
    .expect("a service");
    let services: Api<Service> = Api::namespaced(client, "default");
    let created = services.create(&PostParams::default(), &service).await;
    let spec = created.expect("it is created").spec.expect("a spec");
    let port = spec.ports.expect("ports")[0].node_port.expect("a port");
    u16::try_from(port).expect("a port")
}

#[tokio::test]
async fn containers_serve_and_outlive_kubelet_runtime_and_power() {
    let doctor = Command::new(env!("CARGO_BIN_EXE_mainstay"))
        .arg("doctor")
        .output();
    let doctor = doctor.expect("the program is there");
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    let needed = |line: &&str| line.starts_with("missing") && !line.contains(" dns ");
    if let Some(missing) = missing().or_else(|| said.lines().find(needed).map(str::to_owned)) {
        eprintln!("skipped: containers need what is missing here: {missing}");
        return;
    }
    let cluster = Cluster::new();
    let up = ["up", "--hosts", "--masters=1", "--workers=2"];
    let said = cluster.succeeds(&up);
    assert!(!said.contains("fake"), "{said}");
    assert!(said.contains("DNS serves: 2 of 2"), "{said}");
    let pods: Api<Pod> = Api::namespaced(cluster.client().await, "default");
    let port = create_web(&cluster).await;
    let before = containers(&until_ready(&cluster, &pods, 2).await);
    assert_eq!(before.len(), 2);
    for host in ["worker-1", "worker-2"] {
        answers(&cluster, host, port).await;
    }

    // Whoever looks after containers may die; they go on.
    for process in ["worker-1/kubelet", "worker-1/containerd", "worker-2/proxy"] {
        cluster.succeeds(&["kill", process]);
    }
    for host in ["worker-1", "worker-2"] {
        answers(&cluster, host, port).await;
    }
    let begun = Instant::now();
    while containers(&until_ready(&cluster, &pods, 2).await) != before {
        assert!(
            begun.elapsed() < PATIENCE,
            "a healthy container was started again"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // With the power the containers go, and come again with it.
    cluster.succeeds(&["kill", "worker-1"]);
    cluster.succeeds(&["start", "worker-1"]);
    let begun = Instant::now();
    loop {
        let now = containers(&until_ready(&cluster, &pods, 2).await);
        if now != before && now.len() == 2 {
            break;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "nobody noticed that a container was lost"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for host in ["worker-1", "worker-2"] {
        answers(&cluster, host, port).await;
    }
    cluster.succeeds(&["down", "--delete"]);
    assert!(!cluster.path().exists(), "its folder is gone");
}
