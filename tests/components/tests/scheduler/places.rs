//! Pods on fake nodes, and who comes first.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::Api;
use kube::api::PostParams;
use mainstay_client::metrics::Metrics;
use mainstay_component_tests::{Faults, Instance, Ledger, World};
use mainstay_tests::wait_until;
use serde_json::json;

use crate::DONE;
use crate::support::{asks, bound, labelled, pod, refused, start, told, with};

const ZONE: &str = "topology.kubernetes.io/zone";

#[tokio::test]
async fn pods_are_bound_to_fake_nodes_evenly_and_run_there() {
    let world = World::start().await;
    let scene = world.scene().await;
    let ledger = Ledger::follow(&world, 4).await;
    let options = fakenodes::Options {
        nodes: 6,
        zones: 3,
        cpu: "4".to_owned(),
        start_after: Duration::from_millis(20),
        ..fakenodes::Options::default()
    };
    let client = world.client.clone();
    let playing = tokio::spawn(async move {
        let metrics = Metrics::default();
        fakenodes::run(client, options, &metrics).await
    });
    wait_until("six nodes are there", DONE, async || {
        let list = world.nodes().list(&Default::default()).await.unwrap();
        let ready = list.items.iter().filter(|node| {
            let status = node.status.as_ref();
            status.is_some_and(|status| status.allocatable.is_some())
        });
        (ready.count() == 6).then_some(())
    })
    .await;
    for number in 0..6 {
        // Nobody else here finds nodes ready.
        let name = format!("fake-{number}");
        world
            .change_node(&name, json!({"spec": {"taints": null}}))
            .await;
    }
    let running = Instance::start(&world.config, start, Faults::default());
    let spread = json!({"spec": {"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }]}});
    let make = with(
        &with(&labelled("app", "web"), &spread),
        &asks(json!({"cpu": "1"})),
    );
    for number in 0..24 {
        pod(&scene, &format!("web-{number}"), make.clone()).await;
    }
    let on = wait_until("all run", Duration::from_secs(40), async || {
        let pods = scene.live_pods().await;
        let runs = |pod: &Pod| {
            pod.status
                .as_ref()?
                .phase
                .as_deref()
                .map(|p| p == "Running")
        };
        if !pods.iter().all(|pod| runs(pod) == Some(true)) {
            return None;
        }
        let mut on: HashMap<String, usize> = HashMap::new();
        for pod in pods {
            *on.entry(pod.spec?.node_name?).or_default() += 1;
        }
        Some(on)
    })
    .await;
    assert_eq!(on.len(), 6);
    assert!(on.values().all(|count| *count == 4), "{on:?}");
    let says = told(&scene, "web-0", "Scheduled").await;
    let node = bound(&scene, "web-0").await;
    let namespace = &scene.namespace;
    assert_eq!(
        says,
        format!("Successfully assigned {namespace}/web-0 to {node}")
    );
    pod(&scene, "web-24", make).await;
    let says = refused(&scene, "web-24").await;
    assert!(
        says.starts_with("0/6 nodes are available: 6 Insufficient cpu. preemption:"),
        "{says}"
    );
    let other = json!({"spec": {"schedulerName": "somebody-else"}});
    let other = pod(&scene, "other", other).await;
    running.idle().await;
    assert_eq!(other.spec.unwrap().node_name, None);
    assert_eq!(ledger.check().await, 24);
    playing.abort();
}

#[tokio::test]
async fn the_most_important_pods_get_the_room_there_is() {
    let world = World::start().await;
    let scene = world.scene().await;
    let classes: Api<PriorityClass> = Api::all(world.client.clone());
    for (name, value) in [("low", -1), ("middle", 10), ("high", 1000)] {
        let class = json!({"metadata": {"name": name}, "value": value});
        let class = serde_json::from_value(class).unwrap();
        classes
            .create(&PostParams::default(), &class)
            .await
            .unwrap();
    }
    for (name, class) in [
        ("first", "low"),
        ("second", "high"),
        ("third", "middle"),
        ("fourth", "high"),
        ("fifth", "low"),
    ] {
        let class = json!({"spec": {"priorityClassName": class}});
        pod(&scene, name, with(&asks(json!({"cpu": "1"})), &class)).await;
    }
    world
        .node("a", json!({"status": {"allocatable": {"cpu": "3"}}}))
        .await;
    let _running = Instance::start(&world.config, start, Faults::default());
    for name in ["second", "third", "fourth"] {
        assert_eq!(bound(&scene, name).await, "a");
    }
    for name in ["first", "fifth"] {
        refused(&scene, name).await;
    }
}
