//! Pods that name their node.

use k8s_openapi::api::core::v1::PodSpec;

use crate::snapshot::{NodeIndex, Snapshot};

#[derive(Debug)]
pub(crate) struct NodeName(Option<String>);

impl NodeName {
    pub(crate) fn new(spec: &PodSpec) -> Self {
        Self(spec.node_name.clone().filter(|name| !name.is_empty()))
    }

    pub(crate) fn fits(&self, snapshot: &Snapshot, node: NodeIndex) -> bool {
        self.0
            .as_deref()
            .is_none_or(|name| name == snapshot.name(node))
    }
}
