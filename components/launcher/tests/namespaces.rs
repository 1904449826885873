//! A whole control plane on hosts that are namespaces: up, without a master, without power, down. Needs root.

mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};

use common::{Cluster, missing};

/// Time for clients to be served again after a master's end.
const FAILOVER_PATIENCE: Duration = Duration::from_secs(60);

/// Tries until the apiservers take it: one request may meet the one that has just died.
async fn create(maps: &Api<ConfigMap>, name: &str) {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    let begun = Instant::now();
    loop {
        let parameters = PostParams::default();
        let request = maps.create(&parameters, &map);
        match tokio::time::timeout(Duration::from_secs(5), request).await {
            Ok(Ok(_)) => return,
            // An answer was lost, and the object is there.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => return,
            other => assert!(
                begun.elapsed() < FAILOVER_PATIENCE,
                "{name} cannot be created: {other:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn first_processes(cluster: &Path) -> Vec<i32> {
    let hosts = std::fs::read_dir(cluster.join("hosts")).expect("hosts");
    let records = hosts.map(|host| {
        let path = host.expect("a host").path().join("first-process.json");
        let text = std::fs::read(path).expect("it is on");
        let record: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        record["pid"].as_i64().expect("a process id")
    });
    records
        .map(|pid| i32::try_from(pid).expect("a process id"))
        .collect()
}

#[tokio::test]
async fn a_cluster_of_namespaces_outlives_masters_and_power_and_leaves_nothing() {
    if let Some(missing) = missing() {
        eprintln!("skipped: hosts that are namespaces need what is missing here: {missing}");
        return;
    }
    let cluster = Cluster::new();
    let up = ["up", "--hosts", "--masters=3", "--workers=1"];
    let said = cluster.succeeds(&up);
    assert!(said.contains("worker-1 is ready"), "{said}");
    let maps = cluster.config_maps().await;
    create(&maps, "with-all-masters").await;

    // Any master may die, with everything on it.
    for master in ["master-1", "master-2"] {
        assert!(cluster.succeeds(&["kill", master]).contains("is off"));
        create(&maps, &format!("without-{master}")).await;
        assert!(cluster.succeeds(&["start", master]).contains("is on"));
    }

    // A process that is killed is started again; one that is stopped stays so.
    cluster.succeeds(&["kill", "master-3/scheduler"]);
    cluster.succeeds(&["stop", "master-3/controllers"]);
    let begun = Instant::now();
    loop {
        let status = String::from_utf8_lossy(&cluster.mainstay(&["status"]).stdout).into_owned();
        let line = |name: &str| {
            let mut lines = status.lines();
            let line = lines.find(|line| line.contains("master-3") && line.contains(name));
            line.unwrap_or_default().to_owned()
        };
        if line("scheduler").contains("runs") && line("controllers").contains("stopped") {
            break;
        }
        assert!(begun.elapsed() < FAILOVER_PATIENCE, "{status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.succeeds(&["start", "master-3/controllers"]);
    let log = cluster.succeeds(&["logs", "master-3/kvstore"]);
    assert!(!log.is_empty(), "the store says something");
    let name = cluster.succeeds(&["exec", "worker-1", "cat", "/proc/sys/kernel/hostname"]);
    assert_eq!(name.trim(), "worker-1");

    // The power goes everywhere at once; the same command goes on from there.
    for pid in first_processes(&cluster.path()) {
        let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it was on");
    }
    cluster.succeeds(&up);
    let maps = cluster.config_maps().await;
    for name in ["with-all-masters", "without-master-1", "without-master-2"] {
        maps.get(name)
            .await
            .expect("what was acknowledged is there");
    }

    let id: serde_json::Value = {
        let text = std::fs::read(cluster.path().join("state.json")).expect("state");
        serde_json::from_slice(&text).expect("JSON")
    };
    let id = id["id"].as_str().expect("an id").to_owned();
    cluster.succeeds(&["down", "--delete"]);
    assert!(!cluster.path().exists(), "its folder is gone");
    let links = Command::new("ip")
        .args(["-o", "link"])
        .output()
        .expect("ip");
    let links = String::from_utf8_lossy(&links.stdout).into_owned();
    assert!(!links.contains(&format!("ms-{id}")), "{links}");
    assert!(!links.contains(&format!("ms{id}-")), "{links}");
    let group = format!("mainstay-{id}");
    let groups = Command::new("find")
        .args(["/sys/fs/cgroup", "-name", &group])
        .output()
        .expect("find");
    assert_eq!(String::from_utf8_lossy(&groups.stdout), "");
}
