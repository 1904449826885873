//! The cluster's names, kept ready to be answered: pure, without clocks and I/O.
//!
//! After version 1.1 of Kubernetes' DNS-based service discovery; where it leaves something open, as CoreDNS does.

mod index;
mod labels;
mod look_up;
mod members;
mod objects;
mod reverse;
mod service;

#[cfg(test)]
mod tests;

pub use index::{Index, NotADomain};
pub use look_up::Found;
