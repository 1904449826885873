//! Ranges of addresses for nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use controllers::{Context, Options, node_ipam};
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::{Event, Node};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use mainstay_component_tests::sieve::ended_after_every_write;
use mainstay_component_tests::{Faults, Instance, World, with_rights_of};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

const ACCOUNT: &str = "node-controller";

fn with(mut cx: Context, ranges: &str) -> BoxFuture<'static, ()> {
    cx.options = Arc::new(Options {
        allocate_node_cidrs: true,
        cluster_cidr: ranges.to_owned(),
        service_cluster_ip_range: "10.0.0.0/23".to_owned(),
        ..Options::default()
    });
    Box::pin(node_ipam(cx))
}

/// Room for all nodes of all scenes.
fn large(cx: Context) -> BoxFuture<'static, ()> {
    with(cx, "10.0.0.0/16")
}

/// Room for two, without that of the services.
fn small(cx: Context) -> BoxFuture<'static, ()> {
    with(cx, "10.0.0.0/22")
}

fn dual(cx: Context) -> BoxFuture<'static, ()> {
    with(cx, "10.0.0.0/16,fd00:10::/56")
}

fn nodes(client: &Client) -> Api<Node> {
    Api::all(client.clone())
}

async fn create(client: &Client, name: &str, spec: Value) {
    let node = json!({"metadata": {"name": name}, "spec": spec});
    let node = serde_json::from_value(node).unwrap();
    let params = PostParams::default();
    nodes(client).create(&params, &node).await.unwrap();
}

async fn delete(client: &Client, name: &str) {
    let params = DeleteParams::default();
    nodes(client).delete(name, &params).await.unwrap();
}

fn ranges(node: &Node) -> Vec<String> {
    let spec = node.spec.as_ref();
    spec.and_then(|spec| spec.pod_cidrs.clone())
        .unwrap_or_default()
}

async fn has(client: &Client, name: &str) -> Vec<String> {
    wait_until(&format!("{name} has its range"), DONE, async || {
        let node = nodes(client).get(name).await.unwrap();
        let ranges = ranges(&node);
        (!ranges.is_empty()).then_some(ranges)
    })
    .await
}

#[tokio::test]
async fn each_node_has_a_range_of_its_own_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let client = &world.client;
    let writes = ended_after_every_write(&world, large, async |scene| {
        for number in 0..3 {
            create(client, &format!("{}-{number}", scene.namespace), json!({})).await;
        }
        for number in 0..3 {
            has(client, &format!("{}-{number}", scene.namespace)).await;
        }
        let all = nodes(client).list(&ListParams::default()).await.unwrap();
        let given: Vec<String> = all.items.iter().flat_map(ranges).collect();
        let different: BTreeSet<&String> = given.iter().collect();
        assert_eq!(different.len(), given.len(), "{given:?}");
        for node in &all.items {
            let first = node.spec.as_ref().and_then(|spec| spec.pod_cidr.clone());
            assert_eq!(first.as_ref(), ranges(node).first());
        }
    })
    .await;
    assert_eq!(writes, 3);
}

#[tokio::test]
async fn ranges_of_nodes_that_go_are_given_to_those_that_wait() {
    let world = World::start().await;
    let client = &world.client;
    let own = json!({"podCIDR": "10.0.2.0/24", "podCIDRs": ["10.0.2.0/24"]});
    create(client, "brought", own).await;
    create(client, "given", json!({})).await;
    let _running = Instance::start(
        &world.config,
        |cx| small(with_rights_of(ACCOUNT, cx)),
        Faults::default(),
    );
    assert_eq!(has(client, "given").await, ["10.0.3.0/24"]);
    create(client, "waits", json!({})).await;
    let events: Api<Event> = Api::all(client.clone());
    wait_until("it is told that there is none left", DONE, async || {
        let all = events.list(&ListParams::default()).await.unwrap();
        let mut told = all.items.iter();
        told.any(|event| {
            event.reason.as_deref() == Some("CIDRNotAvailable")
                && event.message.as_deref() == Some("Node waits status is now: CIDRNotAvailable")
        })
        .then_some(())
    })
    .await;
    delete(client, "brought").await;
    assert_eq!(has(client, "waits").await, ["10.0.2.0/24"]);
}

#[tokio::test]
async fn a_node_that_is_not_seen_to_go_keeps_its_range() {
    let world = World::start().await;
    let client = &world.client;
    let running = Instance::start(&world.config, small, Faults::default());
    create(client, "a", json!({})).await;
    let first = has(client, "a").await;
    running.idle().await;
    running.faults.blind("nodes");
    // Another node of the name, and its range may be given to others only once that is seen.
    delete(client, "a").await;
    create(client, "b", json!({})).await;
    create(client, "a", json!({})).await;
    running.faults.miss("nodes");
    let mut both = has(client, "a").await;
    both.extend(has(client, "b").await);
    both.sort();
    assert_eq!(both, ["10.0.2.0/24", "10.0.3.0/24"]);
    assert!(both.contains(&first[0]));
    // What it never saw come and go costs nothing.
    running.idle().await;
    let writes = running.faults.writes();
    running.faults.blind("nodes");
    create(client, "c", json!({})).await;
    delete(client, "c").await;
    running.faults.miss("nodes");
    running.idle().await;
    assert_eq!(running.faults.writes(), writes);
}

#[tokio::test]
async fn nodes_have_ranges_of_both_families_or_none_at_all() {
    let world = World::start().await;
    let client = &world.client;
    create(client, "a", json!({})).await;
    {
        let off = |cx: Context| -> BoxFuture<'static, ()> { Box::pin(node_ipam(cx)) };
        let running = Instance::start(&world.config, off, Faults::default());
        let _dual = Instance::start(
            &world.config,
            |cx| dual(with_rights_of(ACCOUNT, cx)),
            Faults::default(),
        );
        assert_eq!(has(client, "a").await, ["10.0.2.0/24", "fd00:10::/64"]);
        assert_eq!(running.faults.writes(), 0, "it is off unless asked for");
    }
    let _again = Instance::start(&world.config, dual, Faults::default());
    create(client, "b", json!({})).await;
    assert_eq!(has(client, "b").await, ["10.0.3.0/24", "fd00:10:0:1::/64"]);
}
