//! Nodes that fall silent, are not ready, or only seem so.

use std::sync::Arc;
use std::time::Duration;

use controllers::{Context, Options, node_lifecycle};
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::{Node, Pod};
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Kubelets, Scene, World, with_rights_of};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

const ROUNDS: &str = "node_collector_update_all_nodes_health_duration_seconds_count";
const ACCOUNT: &str = "node-controller";

/// Everything as fast as a busy machine allows.
fn quick() -> Options {
    Options {
        node_monitor_period: Duration::from_millis(100),
        node_monitor_grace_period: Duration::from_millis(1500),
        node_startup_grace_period: Duration::from_millis(1500),
        node_eviction_rate: 100.0,
        ..Options::default()
    }
}

fn start(mut cx: Context) -> BoxFuture<'static, ()> {
    cx.options = Arc::new(quick());
    Box::pin(node_lifecycle(cx))
}

/// `key:effect` of all taints, without the part of keys that all have.
fn taints(node: &Node) -> Vec<String> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref());
    let taints = taints.unwrap_or_default().iter();
    let brief = taints.map(|taint| {
        let key = taint.key.trim_start_matches("node.kubernetes.io/");
        format!("{key}:{}", taint.effect)
    });
    brief.collect()
}

fn evicts(node: &Node) -> bool {
    taints(node)
        .iter()
        .any(|taint| taint.ends_with(":NoExecute"))
}

/// Status and reason of a condition.
fn condition(status: &Value, type_: &str) -> (String, String) {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == type_);
    let text = |name: &str| found.and_then(|c| c[name].as_str()).unwrap_or_default();
    (text("status").to_owned(), text("reason").to_owned())
}

fn is_unknown(node: &Node) -> bool {
    let status = serde_json::to_value(&node.status).unwrap();
    condition(&status, "Ready").0 == "Unknown"
}

async fn comes_to(kubelets: &Kubelets, name: &str, what: &str, is: impl Fn(&Node) -> bool) -> Node {
    wait_until(&format!("{name} {what}"), DONE, async || {
        let node = kubelets.get(name).await;
        is(&node).then_some(node)
    })
    .await
}

/// A pod that runs on a node and is ready.
async fn serves(scene: &Scene, name: &str, node: &str) {
    let pod = json!({
        "metadata": {"name": name},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "busybox"}]},
    });
    let pod: Pod = scene.create(pod).await;
    scene.runs(&pod, true).await;
}

async fn is_ready(scene: &Scene, name: &str) -> bool {
    let pod = scene.api::<Pod>().get(name).await.unwrap();
    let status = serde_json::to_value(pod.status).unwrap();
    condition(&status, "Ready").0 == "True"
}

#[tokio::test]
async fn a_silent_node_is_given_up_and_taken_back_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let kubelets = Kubelets::new(&world.client);
    let kubelets = &kubelets;
    let writes = ended_after_every_write(&world, start, async |scene| {
        let (well, lost) = (
            format!("{}-well", scene.namespace),
            format!("{}-lost", scene.namespace),
        );
        for name in [&well, &lost] {
            kubelets.register(name, json!({})).await;
            serves(scene, &format!("on-{name}"), name).await;
            comes_to(kubelets, name, "is open", |node| taints(node).is_empty()).await;
        }
        kubelets.silence(&lost);
        let node = comes_to(kubelets, &lost, "is given up", |node| {
            let mut taints = taints(node);
            taints.sort();
            taints == ["unreachable:NoExecute", "unreachable:NoSchedule"]
        })
        .await;
        let status = serde_json::to_value(&node.status).unwrap();
        let unknown = |reason: &str| ("Unknown".to_owned(), reason.to_owned());
        assert_eq!(condition(&status, "Ready"), unknown("NodeStatusUnknown"));
        for never_told in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
            let told = condition(&status, never_told);
            assert_eq!(told, unknown("NodeStatusNeverUpdated"));
        }
        wait_until("its pod serves nobody", DONE, async || {
            (!is_ready(scene, &format!("on-{lost}")).await).then_some(())
        })
        .await;
        assert!(is_ready(scene, &format!("on-{well}")).await);
        kubelets.wake(&lost);
        comes_to(kubelets, &lost, "is back", |node| taints(node).is_empty()).await;
        assert!(taints(&kubelets.get(&well).await).is_empty());
    })
    .await;
    assert!(writes >= 6, "status, pod, and four times taints: {writes}");
    // Nothing that is well is written about, however often it is looked at.
    let running = Instance::start(&world.config, start, Faults::default());
    running.looks_again(ROUNDS, 10).await;
    assert_eq!(running.faults.writes(), 0);
}

#[tokio::test]
async fn what_a_node_says_becomes_taints_and_labels() {
    let world = World::start().await;
    let kubelets = Kubelets::new(&world.client);
    let labels = json!({"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"});
    kubelets.register("n", labels).await;
    let running = Instance::start(
        &world.config,
        |cx| start(with_rights_of(ACCOUNT, cx)),
        Faults::default(),
    );
    let node = comes_to(&kubelets, "n", "is labelled", |node| {
        let labels = node.metadata.labels.as_ref().unwrap();
        labels.contains_key("beta.kubernetes.io/os") && taints(node).is_empty()
    })
    .await;
    assert_eq!(
        node.metadata.labels.unwrap()["beta.kubernetes.io/arch"],
        "arm64"
    );
    for (condition, taint) in [
        ("MemoryPressure", "memory-pressure:NoSchedule"),
        ("NetworkUnavailable", "network-unavailable:NoSchedule"),
    ] {
        kubelets.tells("n", condition, "True").await;
        comes_to(&kubelets, "n", taint, |node| taints(node) == [taint]).await;
        kubelets.tells("n", condition, "False").await;
        comes_to(&kubelets, "n", "is well", |node| taints(node).is_empty()).await;
    }
    // Events that are never told: only what came of them.
    running.faults.blind("nodes");
    kubelets.tells("n", "DiskPressure", "True").await;
    kubelets.tells("n", "DiskPressure", "False").await;
    kubelets.tells("n", "PIDPressure", "True").await;
    running.faults.miss("nodes");
    let taint = "pid-pressure:NoSchedule";
    comes_to(&kubelets, "n", taint, |node| taints(node) == [taint]).await;
    running.idle().await;
    writes_nothing_more(&world, start).await;
}

#[tokio::test]
async fn nobody_is_evicted_while_no_node_is_ready() {
    let world = World::start().await;
    let kubelets = Kubelets::new(&world.client);
    let names = ["a", "b", "c"];
    for name in names {
        kubelets
            .register(name, json!({"topology.kubernetes.io/zone": name}))
            .await;
    }
    let running = Instance::start(
        &world.config,
        |cx| start(with_rights_of(ACCOUNT, cx)),
        Faults::default(),
    );
    for name in names {
        comes_to(&kubelets, name, "is open", |node| taints(node).is_empty()).await;
    }
    names.iter().for_each(|name| kubelets.silence(name));
    for name in names {
        comes_to(&kubelets, name, "is lost", is_unknown).await;
    }
    // One that was given up before the others may have been tainted for a moment.
    for name in names {
        comes_to(&kubelets, name, "evicts nobody", |node| !evicts(node)).await;
    }
    let before = running.faults.writes();
    running.looks_again(ROUNDS, 10).await;
    for name in names {
        assert!(!evicts(&kubelets.get(name).await), "{name}");
    }
    let after = running.faults.writes();
    assert!(after <= before + 3, "it waits: {before} {after}");
    kubelets.wake("a");
    comes_to(&kubelets, "a", "is back", |node| taints(node).is_empty()).await;
    for name in ["b", "c"] {
        comes_to(&kubelets, name, "evicts", evicts).await;
    }
}

#[tokio::test]
async fn a_small_zone_that_lost_most_of_its_nodes_loses_no_pods() {
    let world = World::start().await;
    let kubelets = Kubelets::new(&world.client);
    let zone = |name: &str| json!({"topology.kubernetes.io/zone": name});
    for name in ["a1", "a2", "a3", "a4"] {
        kubelets.register(name, zone("a")).await;
        let status = if name == "a4" { "True" } else { "False" };
        kubelets.tells(name, "Ready", status).await;
    }
    for (name, status) in [("b1", "False"), ("b2", "True")] {
        kubelets.register(name, zone("b")).await;
        kubelets.tells(name, "Ready", status).await;
    }
    let running = Instance::start(&world.config, start, Faults::default());
    comes_to(&kubelets, "b1", "evicts: its zone is well", evicts).await;
    running.looks_again(ROUNDS, 5).await;
    for name in ["a1", "a2", "a3"] {
        let node = kubelets.get(name).await;
        assert_eq!(taints(&node), ["not-ready:NoSchedule"], "{name}");
    }
    assert_eq!(running.figure("node_collector_evictions_total"), 1);
    // With one more that is well the zone is.
    kubelets.tells("a1", "Ready", "True").await;
    for name in ["a2", "a3"] {
        comes_to(&kubelets, name, "evicts", evicts).await;
    }
}

#[tokio::test]
async fn an_apiserver_that_was_away_takes_no_node_down() {
    let mut world = World::start().await;
    let kubelets = Kubelets::new(&world.client);
    for name in ["a", "b"] {
        kubelets.register(name, json!({})).await;
    }
    let running = Instance::start(&world.config, start, Faults::default());
    for name in ["a", "b"] {
        comes_to(&kubelets, name, "is open", |node| taints(node).is_empty()).await;
    }
    let before = running.faults.writes();
    world.server.kill();
    // Several times as long as nodes may be silent.
    running.looks_again(ROUNDS, 40).await;
    world.server.run().await;
    running.looks_again(ROUNDS, 25).await;
    for name in ["a", "b"] {
        let node = kubelets.get(name).await;
        assert!(!is_unknown(&node) && taints(&node).is_empty(), "{name}");
    }
    assert_eq!(running.faults.writes(), before, "nobody was given up");
    // And it listens again.
    kubelets.silence("b");
    comes_to(&kubelets, "b", "is lost", is_unknown).await;
}

#[tokio::test]
async fn leases_that_are_told_late_cost_nobody_a_pod() {
    let world = World::start().await;
    let kubelets = Kubelets::new(&world.client);
    for name in ["a", "b"] {
        kubelets.register(name, json!({})).await;
    }
    let running = Instance::start(&world.config, start, Faults::default());
    for name in ["a", "b"] {
        comes_to(&kubelets, name, "is open", |node| taints(node).is_empty()).await;
    }
    running.faults.blind("leases");
    let given_up = Duration::from_secs(20);
    wait_until("nodes are given up", given_up, async || {
        let known = running.figure("node_collector_unhealthy_nodes_in_zone");
        (known > 0).then_some(())
    })
    .await;
    running.faults.see("leases");
    for name in ["a", "b"] {
        comes_to(&kubelets, name, "is back", |node| {
            !is_unknown(node) && taints(node).is_empty()
        })
        .await;
    }
    running.looks_again(ROUNDS, 5).await;
    let settled = running.faults.writes();
    running.looks_again(ROUNDS, 10).await;
    assert_eq!(running.faults.writes(), settled);
}
