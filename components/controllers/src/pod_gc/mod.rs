//! Pods that nobody else takes away: finished ones beyond a number, those of nodes that are gone or out of service,
//! and those that were deleted before they had a node.

mod choose;
mod controller;

pub use controller::pod_gc;
