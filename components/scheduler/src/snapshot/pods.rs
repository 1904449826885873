//! Pods come to nodes and go.

use std::sync::Arc;

use super::changes::Entry;
use super::state::{NodeIndex, Placed, Snapshot};
use crate::pod::PodInfo;

impl Snapshot {
    /// A pod that is bound to a node. Returns what was there under its uid.
    pub fn set_pod(&mut self, info: &Arc<PodInfo>) -> Option<Arc<PodInfo>> {
        let name = info.node()?;
        let index = self.index_or_new(name);
        if let Some(placed) = self.pods.get_mut(info.uid())
            && placed.node == index
            && placed.info.weighs_as(info)
        {
            placed.assumed = false;
            let new = Arc::new(info.without_object());
            return Some(std::mem::replace(&mut placed.info, new));
        }
        let old = self.remove_pod(info.uid());
        // Its place is lost if it was the only one there.
        let index = self.index_or_new(info.node()?);
        self.place(info, index, false);
        old
    }

    /// A pod that we are binding to a node: it counts from now on.
    pub fn assume(&mut self, info: &Arc<PodInfo>, node: NodeIndex) {
        self.remove_pod(info.uid());
        self.place(info, node, true);
    }

    /// Binding has failed.
    pub fn forget(&mut self, uid: &str) {
        if self.is_assumed(uid) {
            self.remove_pod(uid);
        }
    }

    /// Whether a pod was assigned by us and not yet seen at its node.
    #[must_use]
    pub fn is_assumed(&self, uid: &str) -> bool {
        self.pods.get(uid).is_some_and(|placed| placed.assumed)
    }

    /// How many pods are at nodes.
    #[must_use]
    pub fn pods_placed(&self) -> usize {
        self.pods.len()
    }

    /// A pod that is at a node.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        self.pods.get(uid).map(|placed| &placed.info)
    }

    pub fn remove_pod(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let Placed { info, node, .. } = self.pods.remove(uid)?;
        self.columns.ask(node, &info, -1);
        self.pods_of[node].remove(uid);
        if let Some(count) = self.priorities[node].get_mut(&info.priority()) {
            *count -= 1;
            if *count == 0 {
                self.priorities[node].remove(&info.priority());
            }
        }
        for port in &info.ports {
            if let Some(at) = self.ports[node].iter().position(|other| other == port) {
                self.ports[node].swap_remove(at);
            }
        }
        if let Some(pods) = self.pods_by_namespace.get_mut(info.namespace()) {
            pods.remove(uid);
            if pods.is_empty() {
                self.pods_by_namespace.remove(info.namespace());
            }
        }
        self.pods_with_terms.remove(uid);
        self.changes
            .push(Entry::PodRemoved(node, Arc::clone(&info)));
        self.touch(node);
        self.free_if_unused(node);
        Some(info)
    }

    fn place(&mut self, info: &Arc<PodInfo>, node: NodeIndex, assumed: bool) {
        let uid = info.uid().to_owned();
        self.columns.ask(node, info, 1);
        self.pods_of[node].insert(uid.clone());
        self.ports[node].extend(info.ports.iter().cloned());
        let namespace = info.namespace();
        match self.pods_by_namespace.get_mut(namespace) {
            Some(pods) => pods,
            None => self
                .pods_by_namespace
                .entry(namespace.to_owned())
                .or_default(),
        }
        .insert(uid.clone());
        *self.priorities[node].entry(info.priority()).or_default() += 1;
        if let Some(terms) = &info.terms {
            for term in terms.all() {
                self.topology_id(&term.topology);
            }
            self.pods_with_terms.insert(uid.clone());
        }
        let info = Arc::new(info.without_object());
        self.changes.push(Entry::PodAdded(node, Arc::clone(&info)));
        self.touch(node);
        let placed = Placed {
            info,
            node,
            assumed,
        };
        self.pods.insert(uid, placed);
    }

    /// All pods and their nodes, also of nodes that are not there.
    pub(crate) fn pods(&self) -> impl Iterator<Item = (NodeIndex, &Arc<PodInfo>)> {
        self.pods.values().map(|placed| (placed.node, &placed.info))
    }

    pub(crate) fn pods_in(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = (NodeIndex, &Arc<PodInfo>)> {
        let uids = self.pods_by_namespace.get(namespace);
        self.placed(uids.into_iter().flatten())
    }

    pub(crate) fn pods_with_terms(&self) -> impl Iterator<Item = (NodeIndex, &Arc<PodInfo>)> {
        self.placed(self.pods_with_terms.iter())
    }

    fn placed<'a>(
        &'a self,
        uids: impl Iterator<Item = &'a String>,
    ) -> impl Iterator<Item = (NodeIndex, &'a Arc<PodInfo>)> {
        uids.filter_map(|uid| self.pods.get(uid))
            .map(|placed| (placed.node, &placed.info))
    }
}
