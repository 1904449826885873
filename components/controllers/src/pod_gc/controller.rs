//! The controller's loop: it looks at everything now and then, and is in no hurry.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use mainstay_client::Informer;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::choose::{is_over, orphaned, out_of_service, terminated, unscheduled};
use crate::context::Context;
use crate::discovery::is_absent;
use crate::limits::{POD_GC_NODE_PAUSE, POD_GC_PAUSE};

/// Takes away pods that nobody else does.
pub async fn pod_gc(cx: Context) {
    let controller = Controller {
        pods: cx.informers.of(),
        nodes: cx.informers.of(),
        missing: HashMap::new(),
        cx,
    };
    controller.run().await;
}

struct Controller {
    cx: Context,
    pods: Arc<Informer<Pod>>,
    nodes: Arc<Informer<Node>>,
    /// Nodes that pods are on and that were not there, and since when.
    missing: HashMap<String, Instant>,
}

impl Controller {
    async fn run(mut self) {
        self.pods.synced().await;
        self.nodes.synced().await;
        let mut ticks = interval(POD_GC_PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.round().await;
        }
    }

    async fn round(&mut self) {
        let pods = self.pods.cache().all();
        let nodes = self.nodes.cache().all();
        let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
        let nodes: Vec<&Node> = nodes.iter().map(AsRef::as_ref).collect();
        for pod in terminated(&pods, self.cx.options.terminated_pod_gc_threshold) {
            self.take_away(pod, None).await;
        }
        for pod in out_of_service(&pods, &nodes) {
            self.take_away(pod, None).await;
        }
        let orphaned = orphaned(&pods, &nodes);
        self.missing
            .retain(|node, _| orphaned.contains_key(node.as_str()));
        for (node, pods) in orphaned {
            // A node that is being made may be seen later than its pods.
            let now = Instant::now();
            let since = self.missing.entry(node.to_owned()).or_insert(now);
            if since.elapsed() < POD_GC_NODE_PAUSE || !self.is_gone(node).await {
                continue;
            }
            for pod in pods {
                let why = "PodGC: node no longer exists";
                self.take_away(pod, Some(why)).await;
            }
        }
        for pod in unscheduled(&pods) {
            self.take_away(pod, None).await;
        }
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

    /// Deletes a pod at once. One that never came to its end has failed; by
    /// a disruption, if `why` says so.
    async fn take_away(&self, pod: &Pod, why: Option<&str>) {
        if let Err(error) = self.try_take_away(pod, why).await {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(pod = name, "{error}");
        }
    }

    async fn try_take_away(&self, pod: &Pod, why: Option<&str>) -> kube::Result<()> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(self.cx.client.clone(), namespace);
        if !is_over(pod) {
            let mut status = json!({"phase": "Failed"});
            if let Some(message) = why {
                status["conditions"] = json!([{
                    "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
                    "message": message, "lastTransitionTime": second(Timestamp::now()),
                    "observedGeneration": pod.metadata.generation,
                }]);
            }
            let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
            let params = PatchParams::default();
            match api
                .patch_status(name, &params, &Patch::Strategic(patch))
                .await
            {
                Err(error) if is_absent(&error) => return Ok(()),
                answer => answer.map(drop)?,
            }
        }
        let how = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: pod.metadata.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match api.delete(name, &how).await {
            Err(error) if !is_absent(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Times in objects have no fractions.
fn second(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second())
        .unwrap_or(now)
        .to_string()
}
