//! What may make a pod fit that did not.

use crate::pod::PodInfo;
use crate::snapshot::{NodeChange, NodeIndex};

/// Something has changed; the snapshot shows it already.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    Node(NodeIndex, NodeChange),
    NodeGone,
    /// A pod is at a node now.
    PodPlaced(&'a PodInfo),
    /// A pod that is at a node has other labels, asks for less, or is going.
    PodChanged {
        old: &'a PodInfo,
        new: &'a PodInfo,
    },
    PodGone(&'a PodInfo),
    Namespace,
}
