//! A control plane of plain processes: up, without a member, without its supervisor, down. Needs no root.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::Api;
use kube::api::{ListParams, PostParams};

use common::Cluster;

/// Time for what was killed to run again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Processes of the cluster, by what the launcher gives each of them.
fn processes(cluster: &Cluster) -> Vec<String> {
    let mark = format!(
        "MAINSTAY_SUPERVISED={}",
        cluster.path().join("machine").display()
    );
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let ours = entries.filter(|entry| {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let mut each = environment.split(|byte| *byte == 0);
        each.any(|one| one == mark.as_bytes())
    });
    ours.map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

async fn create(cluster: &Cluster, name: &str) {
    let maps = cluster.config_maps().await;
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    let begun = Instant::now();
    loop {
        match maps.create(&PostParams::default(), &map).await {
            Ok(_) => return,
            // An answer was lost, and the object is there.
            Err(kube::Error::Api(status)) if status.code == 409 => return,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{name}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn plain_processes_serve_and_are_gone_with_down() {
    let cluster = Cluster::new();
    let up = ["up", "--embedded", "--masters=3", "--workers=4"];
    let said = cluster.succeeds(&up);
    assert!(said.contains("4 fake nodes are ready"), "{said}");
    let refused = cluster.mainstay(&["up", "--hosts"]);
    assert!(!refused.status.success(), "it stays what it is");
    create(&cluster, "with-all-members").await;
    let status = cluster.succeeds(&["status"]);
    for name in [
        "m1",
        "m3",
        "apiserver",
        "controllers",
        "scheduler",
        "fake-nodes",
    ] {
        assert!(status.contains(name), "{status}");
    }

    // A member that stands still is not missed; a process that is killed is started again.
    cluster.succeeds(&["stop", "m1"]);
    create(&cluster, "without-m1").await;
    cluster.succeeds(&["start", "m1"]);
    cluster.succeeds(&["kill", "scheduler"]);
    let log = cluster.succeeds(&["logs", "m2"]);
    assert!(!log.is_empty(), "the store says something");

    // Without their supervisor they go on; the same command finds them, and starts all anew.
    let record = fs::read(cluster.path().join("machine/first-process.json")).expect("it runs");
    let record: serde_json::Value = serde_json::from_slice(&record).expect("JSON");
    let pid = i32::try_from(record["pid"].as_i64().expect("an id")).expect("an id");
    let supervisor = rustix::process::Pid::from_raw(pid).expect("an id");
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).expect("it ran");
    create(&cluster, "without-supervisor").await;
    cluster.succeeds(&up);
    let maps = cluster.config_maps().await;
    for name in ["with-all-members", "without-m1", "without-supervisor"] {
        maps.get(name)
            .await
            .expect("what was acknowledged is there");
    }
    assert_eq!(processes(&cluster).len(), 8, "none runs twice");

    // Nodes come and go.
    cluster.succeeds(&["up", "--embedded", "--workers=2"]);
    let nodes: Api<Node> = Api::all(cluster.client().await);
    let left = nodes.list(&ListParams::default()).await.expect("nodes");
    assert_eq!(left.items.len(), 2);

    cluster.succeeds(&["down"]);
    assert_eq!(processes(&cluster), Vec::<String>::new());
    assert!(cluster.path().exists(), "its data stay");
    cluster.succeeds(&["up"]);
    cluster.succeeds(&["down", "--delete"]);
    assert!(!cluster.path().exists(), "its folder is gone");
}
