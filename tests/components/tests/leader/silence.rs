//! Watches at an apiserver that stands still: it keeps its connections, and nothing comes over them.

use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams, WatchParams};
use kube::{Api, Client};
use mainstay_client::leader::Fence;
use mainstay_client::metrics::Metrics;
use mainstay_client::{Access, AccessOptions, Informers, Key};
use mainstay_tests::wait_until;
use serde_json::json;

use crate::{Election, PATIENCE};

/// Shorter than the time after which silent nodes are given up (50 s), longer than both times of a ping (25 s).
const NOTICED: Duration = Duration::from_secs(40);

/// Under the administrator's identity, at both servers.
async fn client(election: &Election) -> Client {
    let url = |port: u16| format!("https://127.0.0.1:{port}").parse().unwrap();
    let (first, second) = (election.world.server.port(), election.other.port());
    let options = AccessOptions {
        kubeconfig: Some(election.world.server.kubeconfig()),
        masters: vec![url(first), url(second)],
        certificate: None,
        name: "test".to_owned(),
        requests_max: 8,
    };
    let access = Access::open(&options, &Fence::open(), &Metrics::default()).await;
    access.unwrap().own().unwrap()
}

async fn create(client: &Client, name: &str) {
    let map = json!({"metadata": {"name": name}});
    let map: ConfigMap = serde_json::from_value(map).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    maps.create(&PostParams::default(), &map).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_when_its_server_stands_still() {
    let mut election = Election::start().await;
    let client = client(&election).await;
    let informers = Informers::new(client.clone());
    let seen = informers.of::<ConfigMap>();
    seen.synced().await;
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let list = maps.list(&ListParams::default()).await.unwrap();
    let from = list.metadata.resource_version.unwrap();
    let watch = maps.watch(&WatchParams::default(), &from).await.unwrap();
    let mut watch = watch.boxed();
    create(&election.world.client, "before").await;
    let first = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap();
    assert!(matches!(first, Some(Ok(_))), "{first:?}");

    election.world.server.pause();
    let ends = async { while let Some(Ok(_)) = watch.next().await {} };
    let ended = tokio::time::timeout(NOTICED, ends).await;
    assert!(ended.is_ok(), "the watch goes on for {NOTICED:?}");

    // Whoever follows a kind goes on at the other server.
    let mut config = election.world.config.clone();
    let other = format!("https://127.0.0.1:{}", election.other.port());
    config.cluster_url = other.parse().unwrap();
    create(&Client::try_from(config).unwrap(), "after").await;
    wait_until("the other server is watched", PATIENCE, async || {
        seen.cache().get(&Key::new("default", "after"))
    })
    .await;
    election.world.server.resume();
}
