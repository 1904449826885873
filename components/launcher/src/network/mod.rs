//! `mainstay network`: how pods reach each other.
//!
//! Each node has a range of addresses for its pods, which it reads from its Node object. To nodes on the same segment
//! there are plain routes; to all others there is a VXLAN whose addresses follow from those of the nodes, so that
//! nobody has to tell anybody. What leaves the pods' network is hidden behind the node's address.

mod agent;
mod apply;
mod config;
mod nodes;
mod plan;

pub(crate) use agent::{Network, network};
pub(crate) use apply::withdraw;
