//! Pods that wait for a node.
//!
//! Those to be decided on next (by priority, then by age), those that failed and wait for their backoff to pass,
//! those that no node suits and that an event must wake, and those whose gates are closed. Pure: time is passed in.

mod event;
mod hints;
mod item;
mod waiting;

pub use event::Event;
pub use waiting::{Counts, Waiting};
