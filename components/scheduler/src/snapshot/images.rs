//! Which nodes have which images.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::core::v1::Node;

use super::state::NodeIndex;

/// An image by one of its names.
#[derive(Debug)]
pub(crate) struct Image {
    /// In bytes, as the first node told it.
    pub(crate) size: i64,
    pub(crate) nodes: HashSet<NodeIndex>,
}

#[derive(Debug, Default)]
pub(crate) struct Images {
    images: HashMap<String, Image>,
    by_node: HashMap<NodeIndex, Vec<String>>,
    /// Raised whenever some node has other images.
    pub(crate) version: u64,
}

impl Images {
    pub(crate) fn get(&self, name: &str) -> Option<&Image> {
        self.images.get(name)
    }

    pub(super) fn set(&mut self, index: NodeIndex, node: Option<&Node>) {
        let status = node.and_then(|node| node.status.as_ref());
        let images = status.into_iter().flat_map(|s| s.images.iter().flatten());
        let named = images.flat_map(|image| {
            let size = image.size_bytes.unwrap_or(0);
            let names = image.names.iter().flatten();
            names.map(move |name| (name.clone(), size))
        });
        let named: Vec<(String, i64)> = named.collect();
        let old = self.by_node.get(&index);
        let names = named.iter().map(|(name, _)| name);
        if old.map_or(named.is_empty(), |old| old.iter().eq(names)) {
            return;
        }
        self.version += 1;
        for name in self.by_node.remove(&index).unwrap_or_default() {
            if let Some(image) = self.images.get_mut(&name) {
                image.nodes.remove(&index);
                if image.nodes.is_empty() {
                    self.images.remove(&name);
                }
            }
        }
        for (name, size) in &named {
            let fresh = || Image {
                size: *size,
                nodes: HashSet::new(),
            };
            let image = self.images.entry(name.clone()).or_insert_with(fresh);
            image.nodes.insert(index);
        }
        if !named.is_empty() {
            let names = named.into_iter().map(|(name, _)| name);
            self.by_node.insert(index, names.collect());
        }
    }
}
