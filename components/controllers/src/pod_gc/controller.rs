//! The controller's loop: it looks at everything now and then, and is in no hurry.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use mainstay_client::{Informer, Key, delete_exactly_with, is_stale};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use super::choose::{is_going_at_once, is_over, orphaned, out_of_service, terminated, unscheduled};
use crate::context::Context;
use crate::discovery::is_absent;
use crate::limits::POD_GC_AT_ONCE;
use crate::pods::disruption;

const REASON: &str = "DeletionByPodGC";
const ORPHANED: &str = "PodGC: node no longer exists";

/// Takes away pods that nobody else does.
pub async fn pod_gc(cx: Context) {
    let controller = Controller {
        pods: cx.informers.of(),
        nodes: cx.informers.of(),
        missing: Mutex::default(),
        cx,
    };
    Arc::new(controller).run().await;
}

struct Controller {
    cx: Context,
    pods: Arc<Informer<Pod>>,
    nodes: Arc<Informer<Node>>,
    /// Nodes that pods are on and that were not there, and since when.
    missing: Mutex<HashMap<String, Instant>>,
}

impl Controller {
    async fn run(self: Arc<Self>) {
        self.pods.synced().await;
        self.nodes.synced().await;
        // Rounds come from a queue, so that an orderly end waits for the one under way.
        let rounds = self.cx.queue("pod_garbage_collector");
        rounds.add(Key::new("", "round"));
        let round = async |this: Arc<Self>, _: Key| {
            this.round().await;
            Ok::<_, kube::Error>(Some(this.cx.options.pod_gc_period))
        };
        rounds.work_for(&self, 1, round).await;
    }

    async fn round(&self) {
        let pods = self.pods.cache().all();
        let nodes = self.nodes.cache().all();
        let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
        let nodes: Vec<&Node> = nodes.iter().map(AsRef::as_ref).collect();
        let threshold = self.cx.options.terminated_pod_gc_threshold;
        self.take_away(terminated(&pods, threshold), None).await;
        self.take_away(out_of_service(&pods, &nodes), None).await;
        for (node, pods) in orphaned(&pods, &nodes) {
            if self.has_long_been_missing(node) && self.is_gone(node).await {
                self.take_away(pods, Some(ORPHANED)).await;
            }
        }
        let orphaned = orphaned(&pods, &nodes);
        self.missing
            .lock()
            .retain(|node, _| orphaned.contains_key(node.as_str()));
        self.take_away(unscheduled(&pods), None).await;
    }

    /// A node that is being made may be seen later than its pods.
    fn has_long_been_missing(&self, node: &str) -> bool {
        let mut missing = self.missing.lock();
        let since = missing.entry(node.to_owned()).or_insert_with(Instant::now);
        since.elapsed() >= self.cx.options.pod_gc_quarantine
    }

    async fn is_gone(&self, node: &str) -> bool {
        let api: Api<Node> = Api::all(self.cx.client.clone());
        match api.get_metadata(node).await {
            Ok(_) => false,
            Err(error) if is_absent(&error) => true,
            Err(error) => {
                tracing::warn!(node, "{error}");
                false
            }
        }
    }

    /// Deletes pods at once. Those that never came to their end have failed; by a disruption, if `why` says so.
    async fn take_away(&self, pods: Vec<&Pod>, why: Option<&'static str>) {
        let mut under_way = FuturesUnordered::new();
        for pod in pods.into_iter().filter(|pod| !is_going_at_once(pod)) {
            if under_way.len() >= POD_GC_AT_ONCE {
                under_way.next().await;
            }
            under_way.push(self.take_one_away(pod, why));
        }
        while under_way.next().await.is_some() {}
    }

    async fn take_one_away(&self, pod: &Pod, why: Option<&'static str>) {
        match self.try_take_away(pod, why).await {
            Err(error) if !is_stale(&error) => {
                let key = Key::of(pod);
                tracing::warn!(pod = %key, "{error}");
            }
            _ => {}
        }
    }

    async fn try_take_away(&self, pod: &Pod, why: Option<&'static str>) -> kube::Result<()> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(self.cx.client.clone(), namespace);
        if !is_over(pod) {
            let mut status = json!({"phase": "Failed"});
            let told = |why| disruption(pod, REASON, why, Timestamp::now());
            if let Some(condition) = why.and_then(told) {
                status["conditions"] = json!([condition]);
            }
            let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
            let patch = Patch::Strategic(patch);
            api.patch_status(name, &PatchParams::default(), &patch)
                .await?;
        }
        let at_once = DeleteParams {
            grace_period_seconds: Some(0),
            ..DeleteParams::default()
        };
        delete_exactly_with(&api, pod, at_once).await.map(drop)
    }
}
