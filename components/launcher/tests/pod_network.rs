//! Pods of two hosts reach each other, by routes and by VXLAN, and the world outside. Needs root.

mod common;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use common::{Cluster, missing};

const PATIENCE: Duration = Duration::from_secs(60);

/// A node whose range of addresses somebody has chosen.
async fn range(nodes: &Api<Node>, name: &str) -> String {
    let begun = Instant::now();
    loop {
        let node = nodes.get(name).await.expect("it is there");
        if let Some(range) = node.spec.and_then(|spec| spec.pod_cidr) {
            return range;
        }
        assert!(begun.elapsed() < PATIENCE, "{name} gets no range");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The nodes that kubelets would make.
async fn make_nodes(nodes: &Api<Node>, addresses: &[(&str, &str)]) {
    for (name, address) in addresses {
        if nodes.get_opt(name).await.expect("an answer").is_none() {
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
            let node = serde_json::from_value(node).expect("a node");
            let created = nodes.create(&PostParams::default(), &node).await;
            created.expect("it is created");
        }
        let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": address}]}});
        let patched = nodes
            .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await;
        patched.expect("its address is known");
    }
}

fn agent(cluster: &Cluster, name: &str, address: &str, way: &str) -> Child {
    let command = format!(
        "echo $$ > /run/agent.pid; exec /opt/mainstay/bin/mainstay network --kubeconfig=/etc/kubernetes/network.kubeconfig \
         --node-name={name} --address={address} --cluster-cidr=10.244.0.0/16 --way={way}"
    );
    Command::new(env!("CARGO_BIN_EXE_mainstay"))
        .arg("--dir")
        .arg(cluster.path())
        .args(["exec", name, "sh", "-c", &command])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts")
}

/// A link and an address as a pod has them. Returns the address.
fn pod(cluster: &Cluster, host: &str, range: &str) -> String {
    let prefix = range
        .strip_suffix(".0/24")
        .expect("a range of 256 addresses");
    let (gateway, address) = (format!("{prefix}.1"), format!("{prefix}.99"));
    let script = format!(
        "set -e; ip netns add pod; ip link add pod0 type veth peer name eth0 netns pod
         ip addr add {gateway}/32 dev pod0; ip link set pod0 up; ip route add {address}/32 dev pod0
         ip -n pod link set lo up; ip -n pod addr add {address}/32 dev eth0; ip -n pod link set eth0 up
         ip -n pod route add {gateway}/32 dev eth0; ip -n pod route add default via {gateway}"
    );
    cluster.succeeds(&["exec", host, "sh", "-c", &script]);
    address
}

/// Waits until an address answers to a pod.
async fn reaches(cluster: &Cluster, host: &str, address: &str) {
    let begun = Instant::now();
    let ping = [
        "exec",
        host,
        "nsenter",
        "--net=/run/netns/pod",
        "busybox",
        "ping",
        "-c",
        "1",
        "-W",
        "1",
        address,
    ];
    while !cluster.mainstay(&ping).status.success() {
        let routes = cluster.mainstay(&["exec", host, "ip", "route"]);
        let routes = String::from_utf8_lossy(&routes.stdout).into_owned();
        assert!(
            begun.elapsed() < PATIENCE,
            "{address} does not answer to {host}:\n{routes}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn pods_of_two_hosts_reach_each_other_and_what_is_outside() {
    let needed = [
        ("busybox", "--help"),
        ("nft", "--version"),
        ("bridge", "-V"),
    ];
    let lacks = needed.iter().find(|(program, flag)| {
        let run = Command::new(program).arg(flag).output();
        !run.is_ok_and(|output| output.status.success())
    });
    if let Some(missing) = missing().or_else(|| lacks.map(|(program, _)| (*program).to_owned())) {
        eprintln!("skipped: networks of pods need what is missing here: {missing}");
        return;
    }
    let cluster = Cluster::new();
    cluster.succeeds(&["up", "--hosts", "--masters=1", "--workers=2"]);
    let nodes: Api<Node> = Api::all(cluster.client().await);
    let state = std::fs::read(cluster.path().join("state.json")).expect("state");
    let state: serde_json::Value = serde_json::from_slice(&state).expect("JSON");
    let hosts = state["hosts"].as_array().expect("hosts");
    let workers: Vec<(&str, &str)> = hosts
        .iter()
        .filter(|host| host["role"] == "worker")
        .map(|host| (host["name"].as_str(), host["address"].as_str()))
        .map(|(name, address)| (name.expect("a name"), address.expect("an address")))
        .collect();
    make_nodes(&nodes, &workers).await;
    let mut pods = Vec::new();
    for (name, _) in &workers {
        let range = range(&nodes, name).await;
        pods.push(pod(&cluster, name, &range));
        // Where there are kubelets this runs already.
        let _ = cluster.mainstay(&["stop", &format!("{name}/network")]);
    }
    let machine = state["subnet"]
        .as_str()
        .expect("a subnet")
        .replace(".0/24", ".1");
    for way in ["auto", "vxlan"] {
        let mut agents: Vec<Child> = workers
            .iter()
            .map(|(name, address)| agent(&cluster, name, address, way))
            .collect();
        reaches(&cluster, "worker-1", &pods[1]).await;
        reaches(&cluster, "worker-2", &pods[0]).await;
        // It knows no way to pods: they have their node's address there.
        reaches(&cluster, "worker-1", &machine).await;
        let links = cluster.succeeds(&["exec", "worker-1", "ip", "-o", "link"]);
        let list = cluster.succeeds(&[
            "exec",
            "worker-1",
            "cat",
            "/etc/cni/net.d/10-mainstay.conflist",
        ]);
        match way {
            "auto" => assert!(list.contains("\"mtu\": 1500"), "{list}"),
            _ => {
                let begun = Instant::now();
                let routed = || cluster.succeeds(&["exec", "worker-1", "ip", "route"]);
                while !routed().contains("dev mainstay.vxlan") {
                    assert!(begun.elapsed() < PATIENCE, "{links}\n{}", routed());
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                reaches(&cluster, "worker-1", &pods[1]).await;
                reaches(&cluster, "worker-2", &pods[0]).await;
            }
        }
        for ((name, _), agent) in workers.iter().zip(&mut agents) {
            cluster.succeeds(&["exec", name, "sh", "-c", "kill $(cat /run/agent.pid)"]);
            agent.wait().expect("it ends");
        }
    }
    // A node that leaves takes its route along.
    let mut first = agent(&cluster, workers[0].0, workers[0].1, "auto");
    reaches(&cluster, "worker-1", &pods[1]).await;
    nodes
        .delete("worker-2", &kube::api::DeleteParams::default())
        .await
        .expect("it is deleted");
    let begun = Instant::now();
    let range = pods[1].replace(".99", ".0/24");
    while cluster
        .succeeds(&["exec", "worker-1", "ip", "route"])
        .contains(&range)
    {
        assert!(
            begun.elapsed() < PATIENCE,
            "the route to a node that left stays"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.succeeds(&["exec", "worker-1", "sh", "-c", "kill $(cat /run/agent.pid)"]);
    first.wait().expect("it ends");
}
