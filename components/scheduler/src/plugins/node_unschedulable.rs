//! Nodes that are cordoned.

use k8s_openapi::api::core::v1::{PodSpec, Taint};

use crate::snapshot::{NodeIndex, Snapshot, tolerates};

/// Keeps pods away from unschedulable nodes, but for those that tolerate the taint of that name.
#[derive(Debug)]
pub(crate) struct NodeUnschedulable {
    tolerated: bool,
}

impl NodeUnschedulable {
    pub(crate) fn new(spec: &PodSpec) -> Self {
        let taint = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        Self {
            tolerated: tolerates(spec.tolerations.as_deref().unwrap_or_default(), &taint),
        }
    }

    pub(crate) fn fits(&self, snapshot: &Snapshot, node: NodeIndex) -> bool {
        self.tolerated || !snapshot.is_unschedulable(node)
    }
}
