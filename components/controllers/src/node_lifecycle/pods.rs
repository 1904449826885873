//! Pods of nodes that are silent: nobody knows whether they work, so no service is to send to them.

use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use mainstay_client::{Events, is_stale};
use serde_json::json;

use crate::limits::NODE_WRITES_AT_ONCE;
use crate::pods::is_ready;

/// Makes ready pods unready. What cannot be written now is tried again in the next round.
pub(super) async fn make_unready(client: &Client, events: &Events, pods: Vec<Arc<Pod>>) {
    let mut under_way = FuturesUnordered::new();
    for pod in pods.into_iter().filter(|pod| is_ready(pod)) {
        if under_way.len() >= NODE_WRITES_AT_ONCE {
            under_way.next().await;
        }
        under_way.push(make_one_unready(client, events, pod));
    }
    while under_way.next().await.is_some() {}
}

async fn make_one_unready(client: &Client, events: &Events, pod: Arc<Pod>) {
    let meta = &pod.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let name = meta.name.as_deref().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let now = Timestamp::now();
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let patch = json!({
        // Whoever has told something newer is right.
        "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
        "status": {"conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": now.to_string()},
        ]},
    });
    let params = PatchParams::default();
    match api
        .patch_status(name, &params, &Patch::Strategic(patch))
        .await
    {
        Ok(_) => events.warning(pod.as_ref(), "NodeNotReady", "Node is not ready"),
        Err(error) if is_stale(&error) => {}
        Err(error) => tracing::warn!(namespace, pod = name, "not made unready: {error}"),
    }
}
