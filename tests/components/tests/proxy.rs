//! The proxy as a process in a network namespace of its own, with its own credentials, against a real apiserver.
//!
//! Needs root, `ip` and `nft`; says so and does nothing where they are missing.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends with what it did not expect, and says why it did not run"
)]

#[path = "proxy/town.rs"]
mod town;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use mainstay_component_tests::{Scene, World};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use town::{Town, obstacle};

const DONE: Duration = Duration::from_secs(30);

async fn slice(scene: &Scene, name: &str, ips: &[&str]) {
    let ends = ips
        .iter()
        .map(|ip| json!({"addresses": [ip], "nodeName": "n1"}));
    let ends: Vec<Value> = ends.collect();
    let manifest = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "ports": [{"name": "", "port": 8080, "protocol": "TCP"}], "endpoints": ends,
    });
    scene.create::<EndpointSlice>(manifest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_are_reached_and_rules_outlive_the_process() {
    if let Some(why) = obstacle() {
        eprintln!("skipped: {why}");
        return;
    }
    let world = World::start().await;
    let scene = world.scene().await;
    let nodes: Api<Node> = Api::all(world.client.clone());
    let node = json!({"metadata": {"name": "n1"}});
    let node = serde_json::from_value(node).unwrap();
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let town = Town::new(&world).await;
    town.answer("10.1.0.1", "one");
    town.answer("10.1.0.2", "two");

    let mut proxy = town.proxy("nftables");
    let spec = json!({"ports": [{"port": 80, "targetPort": 8080}]});
    let service: Service = scene
        .create(json!({"metadata": {"name": "web"}, "spec": spec}))
        .await;
    let address = format!("{}:80", service.spec.unwrap().cluster_ip.unwrap());
    let reached = async |what: &str, is: &str| {
        wait_until(what, DONE, async || {
            (town.ask(&address) == is).then_some(())
        })
        .await;
    };
    reached("nobody answers", "refused").await;
    slice(&scene, "web-1", &["10.1.0.1"]).await;
    reached("one answers", "one").await;
    let (code, health) = town.page(10256, "/healthz");
    assert_eq!(code, 200, "{health}");
    assert!(health.contains("\"nodeEligible\":true"), "{health}");
    let (_, figures) = town.page(10249, "/metrics");
    assert!(
        figures.contains("kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}"),
        "{figures}"
    );
    assert_eq!(town.page(10249, "/proxyMode").1, "nftables");

    // While it is away nothing changes for packets; what happened meanwhile it does when it is back.
    assert_eq!(proxy.terminate().await, Some(0), "{}", proxy.log());
    assert_eq!(town.ask(&address), "one");
    let slices = scene.api::<EndpointSlice>();
    slices
        .delete("web-1", &DeleteParams::default())
        .await
        .unwrap();
    slice(&scene, "web-2", &["10.1.0.2"]).await;
    let mut proxy = town.proxy("nftables");
    reached("the other answers", "two").await;

    // A node that is gone is not for load balancers, but what it serves it serves.
    nodes.delete("n1", &DeleteParams::default()).await.unwrap();
    wait_until("the node is not eligible", DONE, async || {
        (town.page(10256, "/healthz").0 == 503).then_some(())
    })
    .await;
    assert_eq!(town.page(10256, "/livez").0, 200);
    assert_eq!(town.ask(&address), "two");

    // The other mode takes over and takes away.
    assert_eq!(proxy.terminate().await, Some(0));
    let mut proxy = town.proxy("iptables");
    wait_until("the first mode's table is gone", DONE, async || {
        (!town.rules().contains("table ip kube-proxy")).then_some(())
    })
    .await;
    assert_eq!(town.ask(&address), "two");
    assert_eq!(proxy.terminate().await, Some(0));
    assert_eq!(town.cleanup().await, Some(0));
    assert!(!town.rules().contains("KUBE-"), "{}", town.rules());
}
