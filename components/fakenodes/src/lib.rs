//! Nodes that are not there.
//!
//! They register as a kubelet does, renew their leases, and play the lives of the pods that are bound to them: started,
//! ready, at their end, deleted. For tests, for trying out controllers and schedulers with thousands of nodes on one
//! machine, and for figures. Nothing runs anywhere.
//!
//! What a pod does can be said in annotations, all under [`annotations`]' prefix.

#![forbid(unsafe_code)]

pub mod annotations;
mod life;
pub mod limits;
mod node;
mod nodes;
mod options;
mod read;
mod status;

pub use nodes::{run, run_until};
pub use options::Options;
pub use read::{Pair, name_prefix, nodes, quantity, share};
