//! What has changed in the cluster, brought into the snapshot and the queue.
//!
//! Only names are told; what the objects are now is read from the caches. An event that is lost or comes twice makes
//! no difference.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use mainstay_client::Key;

use super::inbox::{Names, Sources};
use crate::pod::PodInfo;
use crate::queue::{Event, Waiting};
use crate::snapshot::{OwnerKind, Snapshot};

/// The cluster as far as it was followed.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) snapshot: Snapshot,
    pub(super) waiting: Waiting,
    /// Uids of the pods that are in one of both.
    uids: HashMap<Key, String>,
    scheduler: String,
}

impl Followed {
    pub(super) fn new(scheduler: &str) -> Self {
        Self {
            snapshot: Snapshot::default(),
            waiting: Waiting::default(),
            uids: HashMap::new(),
            scheduler: scheduler.to_owned(),
        }
    }

    /// Brings in all that these names stand for. Pods last: they are judged by all else.
    pub(super) fn follow(&mut self, names: &Names, sources: &Sources, now: Instant) {
        let snapshot = &mut self.snapshot;
        for key in &names.services {
            let service = sources.services.cache().get(key);
            snapshot.set_service(key, service.as_deref());
        }
        for key in &names.controllers {
            let controller = sources.controllers.cache().get(key);
            snapshot.set_replication_controller(key, controller.as_deref());
        }
        for key in &names.replica_sets {
            let set = sources.replica_sets.cache().get(key);
            let spec = set.as_ref().and_then(|set| set.spec.as_ref());
            snapshot.set_owner(OwnerKind::ReplicaSet, key, spec.map(|spec| &spec.selector));
        }
        for key in &names.stateful_sets {
            let set = sources.stateful_sets.cache().get(key);
            let spec = set.as_ref().and_then(|set| set.spec.as_ref());
            snapshot.set_owner(OwnerKind::StatefulSet, key, spec.map(|spec| &spec.selector));
        }
        for key in &names.namespaces {
            match sources.namespaces.cache().get(key) {
                Some(namespace) => snapshot.set_namespace(&namespace),
                None => snapshot.remove_namespace(&key.name),
            }
        }
        if !names.namespaces.is_empty() {
            self.waiting.wake(Event::Namespace, &self.snapshot, now);
        }
        for key in &names.nodes {
            self.follow_node(key, sources, now);
        }
        for key in &names.pods {
            let pod = sources.pods.cache().get(key);
            self.follow_pod(key, pod, now);
        }
    }

    fn follow_node(&mut self, key: &Key, sources: &Sources, now: Instant) {
        match sources.nodes.cache().get(key) {
            Some(node) => {
                let change = self.snapshot.set_node(&node);
                let index = self.snapshot.index(&key.name);
                if let Some(index) = index.filter(|_| change.is_any()) {
                    let event = Event::Node(index, change);
                    self.waiting.wake(event, &self.snapshot, now);
                }
            }
            None if self.snapshot.remove_node(&key.name) => {
                self.waiting.wake(Event::NodeGone, &self.snapshot, now);
            }
            None => {}
        }
    }

    pub(super) fn follow_pod(&mut self, key: &Key, pod: Option<Arc<Pod>>, now: Instant) {
        let pod = pod.filter(|pod| !is_over(pod));
        let uid = pod.as_ref().and_then(|pod| pod.metadata.uid.as_deref());
        if let Some(old) = self.uids.get(key)
            && Some(old.as_str()) != uid
        {
            let old = old.clone();
            self.uids.remove(key);
            self.gone(&old, now);
        }
        let Some(pod) = pod else {
            return;
        };
        let info = Arc::new(PodInfo::new(pod));
        let uid = info.uid().to_owned();
        if info.node().is_some() {
            self.waiting.remove(&uid);
            self.placed(&info, now);
        } else if info.goes() || !self.is_ours(&info) {
            self.waiting.remove(&uid);
        } else if !self.snapshot.is_assumed(&uid) {
            self.waiting.set(Arc::clone(&info), now);
        }
        self.uids.insert(key.clone(), uid);
    }

    fn is_ours(&self, pod: &PodInfo) -> bool {
        let name = pod.spec().scheduler_name.as_deref();
        name.unwrap_or("default-scheduler") == self.scheduler
    }

    fn gone(&mut self, uid: &str, now: Instant) {
        self.waiting.remove(uid);
        if let Some(old) = self.snapshot.remove_pod(uid) {
            let event = Event::PodGone(&old);
            self.waiting.wake(event, &self.snapshot, now);
        }
    }

    fn placed(&mut self, info: &Arc<PodInfo>, now: Instant) {
        let assumed = self.snapshot.is_assumed(info.uid());
        let old = self.snapshot.set_pod(info);
        let event = match &old {
            Some(old) if old.weighs_as(info) && !assumed => return,
            Some(old) if !assumed => Event::PodChanged { old, new: info },
            _ => Event::PodPlaced(info),
        };
        self.waiting.wake(event, &self.snapshot, now);
    }

    /// Whether a pod still waits for what was decided about it.
    pub(super) fn awaits(&self, key: &Key, uid: &str) -> bool {
        self.uids.get(key).is_some_and(|known| known == uid)
    }
}

/// Whether its containers have ended for good: it takes nothing any more.
fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
