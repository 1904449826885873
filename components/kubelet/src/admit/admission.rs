//! Who was taken so far.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client};
use mainstay_client::{Informer, Key};
use parking_lot::Mutex;

use super::judge::{NodeView, Rejection, judge};
use crate::report::MIRROR;

/// The pods that the node has taken and that are not over.
pub struct Admission {
    client: Client,
    /// Of this node alone.
    nodes: Arc<Informer<Node>>,
    /// The node as it registers: until the apiserver has it.
    own: NodeView,
    taken: Mutex<BTreeMap<String, Arc<Pod>>>,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("taken", &self.taken.lock().len())
            .finish_non_exhaustive()
    }
}

impl Admission {
    pub fn new(client: Client, nodes: Arc<Informer<Node>>, own: NodeView) -> Self {
        Self {
            client,
            nodes,
            own,
            taken: Mutex::default(),
        }
    }

    /// A pod that was taken before, by a kubelet that is no more: nothing is asked again, but it takes room.
    /// A mirror takes none: the pod that it shows does.
    pub fn resume(&self, pod: &Arc<Pod>) {
        let marks = pod.metadata.annotations.as_ref();
        let is_mirror = marks.is_some_and(|marks| marks.contains_key(MIRROR));
        if was_taken(pod) && !is_mirror {
            self.taken.lock().insert(uid(pod), Arc::clone(pod));
        }
    }

    /// Takes a pod, if it fits to how the node is and beside all others that were taken.
    ///
    /// # Errors
    /// Why not.
    pub async fn admit(&self, pod: &Arc<Pod>) -> Result<(), Rejection> {
        if was_taken(pod) {
            self.resume(pod);
            return Ok(());
        }
        let judged = self.try_take(pod, &self.node());
        match judged {
            // Its labels may be newer than those that were seen.
            Err(rejection) if rejection.reason == "NodeAffinity" => match self.newest().await {
                Some(node) => self.try_take(pod, &node),
                None => Err(rejection),
            },
            judged => judged,
        }
    }

    /// A pod is over.
    pub fn leave(&self, uid: &str) {
        self.taken.lock().remove(uid);
    }

    fn try_take(&self, pod: &Arc<Pod>, node: &NodeView) -> Result<(), Rejection> {
        let mut taken = self.taken.lock();
        let own = uid(pod);
        let others = taken.iter().filter(|(other, _)| **other != own);
        judge(pod, node, others.map(|(_, pod)| pod.as_ref()))?;
        taken.insert(own, Arc::clone(pod));
        Ok(())
    }

    fn node(&self) -> NodeView {
        let key = Key::new("", &self.own.name);
        let known = self.nodes.cache().get(&key);
        known.map_or_else(|| self.own.clone(), |node| self.view(&node))
    }

    async fn newest(&self) -> Option<NodeView> {
        let api: Api<Node> = Api::all(self.client.clone());
        let node = api.get_opt(&self.own.name).await.ok()??;
        Some(self.view(&node))
    }

    /// What the node has is known best here.
    fn view(&self, node: &Node) -> NodeView {
        let status = node.status.as_ref();
        let allocatable = status.and_then(|status| status.allocatable.clone());
        let mut all = allocatable.unwrap_or_default();
        all.extend(self.own.allocatable.clone());
        let spec = node.spec.as_ref();
        NodeView {
            name: self.own.name.clone(),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec
                .and_then(|spec| spec.taints.clone())
                .unwrap_or_default(),
            allocatable: all,
        }
    }
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

/// Whether a kubelet has said that it has begun with the pod, which is not over.
fn was_taken(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| {
        let over = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
        status.start_time.is_some() && !over
    })
}
