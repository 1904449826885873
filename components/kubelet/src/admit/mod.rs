//! Whether the node takes a pod that was given to it: who gave it may not have known how the node is.

mod admission;
mod affinity;
mod judge;
mod requests;

pub use admission::Admission;
pub use judge::{NodeView, Rejection, judge};
