//! Follows the apiserver: services and endpoint slices that are ours to proxy, and this node.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{self, Event, ListSemantic};
use kube::{Api, Client};
use mainstay_client::{Key, Kind};

use crate::board::Board;
use crate::limits::{LIST_PAGE, WATCH_PAUSE_MAX, WATCH_PAUSE_MIN, WATCH_SECONDS};

/// Headless services are DNS's, and some are proxied by others.
const OURS: &str = "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless";

/// Follows until it is dropped.
pub(crate) async fn follow(client: Client, node: &str, board: Arc<Board>) {
    let ours = config().labels(OURS);
    let this = config().fields(&format!("metadata.name={node}"));
    tokio::join!(
        services(client.clone(), ours.clone(), &board),
        slices(client.clone(), ours, &board),
        this_node(client, this, &board),
    );
}

fn config() -> watcher::Config {
    watcher::Config {
        list_semantic: ListSemantic::MostRecent,
        page_size: Some(LIST_PAGE),
        timeout: Some(WATCH_SECONDS),
        ..watcher::Config::default()
    }
}

async fn services(client: Client, config: watcher::Config, board: &Board) {
    let mut listed = HashSet::new();
    watch::<Service>(client, config, |event| match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => {
            listed.insert(Key::of(&object));
            board.put_service(&object);
        }
        Event::InitDone => board.services_listed(&std::mem::take(&mut listed)),
        Event::Apply(object) => board.put_service(&object),
        Event::Delete(object) => board.remove_service(&Key::of(&object)),
    })
    .await;
}

async fn slices(client: Client, config: watcher::Config, board: &Board) {
    let mut listed = HashSet::new();
    watch::<EndpointSlice>(client, config, |event| match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => {
            listed.insert(Key::of(&object));
            board.put_slice(&object);
        }
        Event::InitDone => board.slices_listed(&std::mem::take(&mut listed)),
        Event::Apply(object) => board.put_slice(&object),
        Event::Delete(object) => board.remove_slice(&Key::of(&object)),
    })
    .await;
}

async fn this_node(client: Client, config: watcher::Config, board: &Board) {
    let mut listed = None;
    watch::<Node>(client, config, |event| match event {
        Event::Init => listed = None,
        Event::InitApply(object) => listed = Some(object),
        Event::InitDone => board.set_node(listed.take().as_ref()),
        Event::Apply(object) => board.set_node(Some(&object)),
        Event::Delete(_) => board.set_node(None),
    })
    .await;
}

async fn watch<K: Kind>(client: Client, config: watcher::Config, mut take: impl FnMut(Event<K>)) {
    let mut pause = WATCH_PAUSE_MIN;
    let mut events = watcher::watcher(Api::<K>::all(client), config).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                pause = WATCH_PAUSE_MIN;
                take(event);
            }
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), "watching: {error}");
                tokio::time::sleep(pause).await;
                pause = Duration::min(pause * 2, WATCH_PAUSE_MAX);
            }
        }
    }
}
