//! Pods placed per second in memory, without a server: `cargo run --release -p scheduler --example placed_per_second`.

#![expect(clippy::print_stdout, reason = "printing figures is its purpose")]

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::{Node, Pod};
use scheduler::{Decider, Decision, PodInfo, Snapshot};
use serde_json::{Value, json};

fn cluster(nodes: usize) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for n in 0..nodes {
        let name = format!("node-{n}");
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {
                "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": format!("zone-{}", n % 3)}},
            "status": {"allocatable": {"cpu": "32", "memory": "256Gi", "pods": "110"}},
        }))
        .expect("a node");
        snapshot.set_node(&Arc::new(node));
    }
    snapshot
}

fn pods(count: usize, deployments: usize, spec: &Value) -> Vec<Arc<PodInfo>> {
    let make = |n: usize| {
        let app = format!("app-{}", n % deployments);
        let mut spec = spec.clone();
        for one in spec["topologySpreadConstraints"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            one["labelSelector"] = json!({"matchLabels": {"app": app}});
        }
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": format!("p{n}"), "uid": format!("u{n}"), "namespace": "default", "labels": {"app": app}},
            "spec": spec,
        }))
        .expect("a pod");
        Arc::new(PodInfo::new(Arc::new(pod)))
    };
    (0..count).map(make).collect()
}

fn run(nodes: usize, what: &str, deployments: usize, spec: &Value) {
    let mut snapshot = cluster(nodes);
    let pods = pods((nodes * 20).min(20_000), deployments, spec);
    let mut decider = Decider::new(1);
    let begin = Instant::now();
    let mut placed = 0;
    for pod in &pods {
        if let Decision::Node(node) = decider.decide(&mut snapshot, pod) {
            snapshot.assume(pod, node);
            placed += 1;
        }
    }
    let took = begin.elapsed().as_secs_f64();
    println!(
        "{nodes:>5} nodes, {what:<28} {placed:>6} of {} pods, {:>8.0} pods/s, {:>6.1} us each",
        pods.len(),
        pods.len() as f64 / took,
        took * 1e6 / pods.len() as f64
    );
}

fn main() {
    let plain = json!({"containers": [{"name": "c", "image": "app:1",
        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}}}]});
    let with = |more: Value| {
        let mut spec = plain.clone();
        for (key, value) in more.as_object().expect("an object") {
            spec[key] = value.clone();
        }
        spec
    };
    let constraint = |when: &str| {
        json!({"topologySpreadConstraints": [{"maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": when}]})
    };
    for nodes in [100, 1_000, 5_000] {
        run(nodes, "one deployment", 1, &plain);
        run(nodes, "50 deployments in turn", 50, &plain);
        run(
            nodes,
            "spread over zones, required",
            50,
            &with(constraint("DoNotSchedule")),
        );
        run(
            nodes,
            "spread over zones, preferred",
            50,
            &with(constraint("ScheduleAnyway")),
        );
    }
}
