//! Nodes come, change and go.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use mainstay_client::quantity::whole;

use super::changes::Entry;
use super::state::{NodeIndex, Snapshot};
use crate::pod::Amounts;

/// What is another than before about a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeChange {
    pub added: bool,
    pub allocatable: bool,
    pub labels: bool,
    /// Taints, or whether it is unschedulable.
    pub taints: bool,
    pub images: bool,
}

impl NodeChange {
    #[must_use]
    pub fn is_any(self) -> bool {
        self != Self::default()
    }
}

impl Snapshot {
    /// A node as it is now.
    pub fn set_node(&mut self, node: &Arc<Node>) -> NodeChange {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let index = self.index_or_new(name);
        let old = self.objects[index].replace(Arc::clone(node));
        let spec = node.spec.as_ref();
        let taints = spec.and_then(|s| s.taints.as_deref()).unwrap_or_default();
        let taint_set = self.taints.replace(self.taint_sets[index], taints);
        let unschedulable = spec.and_then(|s| s.unschedulable).unwrap_or(false);
        let old_images = self.images.version;
        self.images.set(index, Some(node));
        let change = NodeChange {
            added: old.is_none(),
            allocatable: self.offer(index, Some(node)),
            labels: old.is_none_or(|old| old.metadata.labels != node.metadata.labels),
            taints: taint_set != self.taint_sets[index]
                || unschedulable != self.unschedulable[index],
            images: self.images.version != old_images,
        };
        self.taint_sets[index] = taint_set;
        self.unschedulable[index] = unschedulable;
        if change.added {
            self.came.push(index);
            // The share of the nodes that have an image is another one.
            self.images.version += 1;
        }
        if change.added || change.labels {
            self.relabel(index);
        }
        if change.added || change.labels || change.taints {
            self.changes.push(Entry::Node(index));
        }
        if change.is_any() {
            self.touch(index);
        }
        change
    }

    /// The node is gone; its pods may stay for a while.
    pub fn remove_node(&mut self, name: &str) -> bool {
        let Some(index) = self.index(name) else {
            return false;
        };
        self.objects[index] = None;
        self.came.retain(|other| *other != index);
        self.taint_sets[index] = self.taints.replace(self.taint_sets[index], &[]);
        self.unschedulable[index] = false;
        self.images.set(index, None);
        self.images.version += 1;
        self.offer(index, None);
        self.relabel(index);
        self.changes.push(Entry::Node(index));
        self.touch(index);
        self.free_if_unused(index);
        true
    }

    fn offer(&mut self, index: NodeIndex, node: Option<&Node>) -> bool {
        let status = node.and_then(|node| node.status.as_ref());
        let list = status.and_then(|status| status.allocatable.as_ref());
        let mut amounts = Amounts::of(list);
        amounts.extended.retain(|(name, _)| name != "pods");
        let pods = list.and_then(|list| list.get("pods")).map_or(0, whole);
        self.columns.offer(index, &amounts, pods)
    }

    fn relabel(&mut self, index: NodeIndex) {
        let labels = self.objects[index]
            .as_ref()
            .and_then(|node| node.metadata.labels.as_ref());
        for topology in &mut self.topologies {
            let value = labels.and_then(|labels| labels.get(&topology.key));
            topology.set(index, value.map(String::as_str));
        }
        self.order_is_old = true;
    }

    /// The place of a node, whether it is there or not.
    pub(super) fn index_or_new(&mut self, name: &str) -> NodeIndex {
        if let Some(known) = self.indexes.get(name) {
            return *known;
        }
        let index = self.free.pop().unwrap_or(self.names.len());
        if index == self.names.len() {
            self.names.push(String::new());
            self.objects.push(None);
            self.unschedulable.push(false);
            self.taint_sets.push(0);
            self.ports.push(Vec::new());
            self.versions.push(0);
            self.priorities.push(Default::default());
            self.pods_of.push(Default::default());
            self.columns.grow(self.names.len());
            for topology in &mut self.topologies {
                topology.grow(self.names.len());
            }
        }
        self.names[index] = name.to_owned();
        self.indexes.insert(name.to_owned(), index);
        index
    }

    pub(super) fn free_if_unused(&mut self, index: NodeIndex) {
        if self.objects[index].is_none() && self.pods_of[index].is_empty() {
            self.indexes.remove(&self.names[index]);
            self.names[index].clear();
            self.free.push(index);
        }
    }
}
