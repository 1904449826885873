//! Pods that do not tolerate what their node is tainted with are evicted, at once or after the time they tolerate it.

mod controller;
mod due;

pub use controller::taint_eviction;
