//! The cluster as the scheduler knows it, in columns: one entry for each node.
//!
//! Everything changes in place with each event; nothing is copied to make a decision. Pods that were assigned but
//! not yet seen at their nodes are included ([`Snapshot::assume`]). What has changed is told by a version for each
//! node, and by a log of [`changes`] for whatever looks beyond one node.

mod changes;
mod columns;
mod images;
mod nodes;
mod order;
mod pods;
mod state;
mod taints;
mod topology;
mod world;

pub(crate) use changes::Entry;
pub(crate) use columns::{CPU, EPHEMERAL, MEMORY};
pub use nodes::NodeChange;
pub use state::{NodeIndex, Snapshot};
pub(crate) use taints::tolerates;
pub(crate) use topology::{NOWHERE, TopologyId};
pub use world::OwnerKind;
