//! The controller's loops: nodes whose taints change bring up their pods, and each pod is judged by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use kube::Api;
use kube::api::{Patch, PatchParams};
use mainstay_client::{Change, Informer, Key, Queue, delete_exactly, is_stale};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use super::due::Tainted;
use crate::context::Context;
use crate::limits::{TAINT_EVICTION_WORKERS, UNSEEN_PAUSE};
use crate::nodes::{by_node, node_of, pods_of};
use crate::pods::disruption;

const REASON: &str = "DeletionByTaintManager";
const MESSAGE: &str = "Taint manager: deleting due to NoExecute taint";
const EVENT: &str = "TaintManagerEviction";

/// Evicts pods from tainted nodes.
pub async fn taint_eviction(cx: Context) {
    let (nodes, pods) = (cx.informers.of(), cx.informers.of());
    by_node(&pods);
    let controller = Controller {
        changed_nodes: cx.queue("noexec_taint_node"),
        changed_pods: cx.queue("noexec_taint_pod"),
        tainted: Mutex::default(),
        judged: Mutex::default(),
        nodes,
        pods,
        cx,
    };
    Arc::new(controller).run().await;
}

struct Controller {
    cx: Context,
    nodes: Arc<Informer<Node>>,
    pods: Arc<Informer<Pod>>,
    changed_nodes: Queue<Key>,
    changed_pods: Queue<Key>,
    /// Nodes that evict.
    tainted: Mutex<HashMap<String, Tainted>>,
    /// Pods on them.
    judged: Mutex<HashMap<Key, Judged>>,
}

struct Judged {
    uid: Option<String>,
    /// Since when it is known to be there.
    since: Instant,
    /// Whether it is to go at some time.
    is_to_go: bool,
}

fn taints(node: &Node) -> &[Taint] {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref());
    taints.unwrap_or_default()
}

fn evicting(node: &Node) -> Vec<&Taint> {
    let all = taints(node).iter();
    all.filter(|taint| taint.effect == "NoExecute").collect()
}

fn tolerations(pod: &Pod) -> &[Toleration] {
    let spec = pod.spec.as_ref();
    let tolerations = spec.and_then(|spec| spec.tolerations.as_deref());
    tolerations.unwrap_or_default()
}

impl Controller {
    async fn run(self: Arc<Self>) {
        let queue = self.changed_nodes.clone();
        self.nodes.on(move |change| {
            let changed = match &change {
                Change::Added(node) => !evicting(node).is_empty(),
                Change::Updated { old, new } => evicting(old) != evicting(new),
                Change::Deleted(_) => true,
            };
            if changed {
                queue.add(Key::of(change.object().as_ref()));
            }
        });
        let queue = self.changed_pods.clone();
        self.pods.on(move |change| {
            let changed = match &change {
                Change::Updated { old, new } => {
                    node_of(old) != node_of(new) || tolerations(old) != tolerations(new)
                }
                Change::Added(pod) | Change::Deleted(pod) => node_of(pod).is_some(),
            };
            if changed {
                queue.add(Key::of(change.object().as_ref()));
            }
        });
        self.nodes.synced().await;
        self.pods.synced().await;
        let look = async |this: Arc<Self>, key: Key| this.look_at(&key);
        let judge = async |this: Arc<Self>, key: Key| this.judge(&key).await;
        tokio::join!(
            self.changed_nodes.work_for(&self, 1, look),
            self.changed_pods
                .work_for(&self, TAINT_EVICTION_WORKERS, judge)
        );
    }

    /// Remembers the taints of a node, and has its pods judged.
    fn look_at(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let node = self.nodes.cache().get(key);
        let taints = node.as_deref().map(taints).unwrap_or_default();
        let mut tainted = self.tainted.lock();
        let old = tainted.remove(&key.name).unwrap_or_default();
        let new = old.after(taints, Instant::now());
        if !new.is_empty() {
            tainted.insert(key.name.clone(), new);
        }
        drop(tainted);
        // After that: pods that come later are judged by what is remembered.
        for pod in pods_of(self.pods.cache(), &key.name) {
            self.changed_pods.add(Key::of(pod.as_ref()));
        }
        Ok(None)
    }

    async fn judge(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let pod = self.pods.cache().get(key);
        let pod = pod.filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let Some((pod, node)) = pod.as_deref().and_then(|pod| Some((pod, node_of(pod)?))) else {
            self.judged.lock().remove(key);
            return Ok(None);
        };
        let tainted = self.tainted.lock().get(node).cloned();
        let Some(tainted) = tainted else {
            self.let_stay(key, pod);
            self.judged.lock().remove(key);
            return Ok(None);
        };
        let now = Instant::now();
        let bound = self.since(key, pod, now);
        let Some(due) = tainted.due(tolerations(pod), bound) else {
            self.let_stay(key, pod);
            return Ok(None);
        };
        if let Some(judged) = self.judged.lock().get_mut(key) {
            judged.is_to_go = true;
        }
        if due > now {
            return Ok(Some(due - now));
        }
        self.evict(key, pod, node, &tainted, bound).await
    }

    /// Since when a pod is known to be where it is.
    fn since(&self, key: &Key, pod: &Pod, now: Instant) -> Instant {
        let fresh = || Judged {
            uid: pod.metadata.uid.clone(),
            since: now,
            is_to_go: false,
        };
        let mut judged = self.judged.lock();
        let judged = judged.entry(key.clone()).or_insert_with(fresh);
        if judged.uid != pod.metadata.uid {
            *judged = fresh();
        }
        judged.since
    }

    fn let_stay(&self, key: &Key, pod: &Pod) {
        let mut judged = self.judged.lock();
        let judged = judged.get_mut(key);
        let was_to_go = judged.is_some_and(|judged| std::mem::take(&mut judged.is_to_go));
        if was_to_go {
            let text = format!("Cancelling deletion of Pod {key}");
            self.cx.events.normal(pod, EVENT, text);
        }
    }

    /// Evicts a pod if node and pod are still as the caches have them: nobody brings it back.
    async fn evict(
        &self,
        key: &Key,
        seen: &Pod,
        node: &str,
        tainted: &Tainted,
        bound: Instant,
    ) -> kube::Result<Option<Duration>> {
        let nodes: Api<Node> = Api::all(self.cx.client.clone());
        let pods: Api<Pod> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        let (node, pod) = (nodes.get_opt(node).await?, pods.get_opt(&key.name).await?);
        // If not, the caches are behind. No event need tell when they have caught up: a taint that went and came again
        // unseen is no change.
        let (Some(node), Some(pod)) = (node, pod) else {
            return Ok(Some(UNSEEN_PAUSE));
        };
        if pod.metadata.uid != seen.metadata.uid || pod.metadata.deletion_timestamp.is_some() {
            return Ok(Some(UNSEEN_PAUSE));
        }
        let now = Instant::now();
        match tainted
            .after(taints(&node), now)
            .due(tolerations(&pod), bound)
        {
            None => return Ok(Some(UNSEEN_PAUSE)),
            Some(due) if due > now => return Ok(Some(due - now)),
            Some(_) => {}
        }
        let text = format!("Marking for deletion Pod {key}");
        self.cx.events.normal(&pod, EVENT, text);
        if let Some(condition) = disruption(&pod, REASON, MESSAGE, Timestamp::now()) {
            let patch = json!({
                "metadata": {"uid": pod.metadata.uid},
                "status": {"conditions": [condition]},
            });
            let params = PatchParams::default();
            let patch = Patch::Strategic(patch);
            match pods.patch_status(&key.name, &params, &patch).await {
                Err(error) if is_stale(&error) => return Ok(Some(UNSEEN_PAUSE)),
                answer => answer.map(drop)?,
            }
        }
        delete_exactly(&pods, &pod).await?;
        self.judged.lock().remove(key);
        Ok(None)
    }
}
