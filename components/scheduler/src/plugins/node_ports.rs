//! Ports of the node that are taken.

use crate::pod::{HostPort, PodInfo};
use crate::snapshot::{NodeIndex, Snapshot};

#[derive(Debug)]
pub(crate) struct NodePorts(Vec<HostPort>);

impl NodePorts {
    pub(crate) fn new(pod: &PodInfo) -> Self {
        Self(pod.ports.clone())
    }

    pub(crate) fn fits(&self, snapshot: &Snapshot, node: NodeIndex) -> bool {
        let taken = |port: &HostPort| snapshot.ports(node).iter().any(|o| o.conflicts(port));
        !self.0.iter().any(taken)
    }
}
