//! Each node is given ranges of addresses for its pods, out of the cluster's, and keeps them as long as it lives.

mod controller;
mod ranges;
mod set;

pub use controller::node_ipam;
pub(crate) use ranges::check;
