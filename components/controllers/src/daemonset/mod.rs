//! Daemon sets: one pod on each node that fits.
//!
//! A pod is made for its node by an affinity to the node's name, and the scheduler binds it there; which nodes fit is
//! decided by the same rules that the scheduler has for affinity and taints.

mod backoff;
mod controller;
mod matching;
mod place;
mod plan;
mod pod;
mod rolling;
mod status;

pub use controller::daemonsets;
