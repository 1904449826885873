//! Kubernetes' default plugins, one file each: what rules a node out, and what makes one better than another.

mod affinity;
mod balanced_allocation;
mod domains;
mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_unschedulable;
mod normalize;
mod plugin;
mod resources_fit;
mod spread_constraint;
mod taint_toleration;
mod topology_spread;

pub(crate) use balanced_allocation::balanced;
pub(crate) use image_locality::ImageLocality;
pub(crate) use inter_pod_affinity::InterPodAffinity;
pub(crate) use node_affinity::NodeAffinity;
pub(crate) use node_name::NodeName;
pub(crate) use node_ports::NodePorts;
pub(crate) use node_unschedulable::NodeUnschedulable;
pub(crate) use normalize::{normalize, normalize_reversed};
pub use plugin::Plugin;
pub(crate) use plugin::{Plugins, Reason};
pub(crate) use resources_fit::ResourcesFit;
pub(crate) use taint_toleration::TaintToleration;
pub(crate) use topology_spread::TopologySpread;
