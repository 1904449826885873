//! Nodes as controllers see them: what they say of themselves, their taints, and the pods on them.

mod index;
mod state;
mod taints;
mod write;

pub(crate) use index::{by_node, node_of, pods_of};
pub(crate) use state::{condition, is_ready, ready_status, zone};
pub(crate) use taints::{is_tolerated, tolerates, with, without};
pub(crate) use write::set_spec;
