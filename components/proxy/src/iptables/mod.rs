//! Services as chains of iptables, laid out as upstream's: `KUBE-SERVICES`, `KUBE-SVC-…`, `KUBE-SEP-…` and so on.
//!
//! A packet that begins a connection is compared with every service until one matches. Chains of a service are
//! written only when they change; the lists of services only when an address, a port or what is refused changes.

mod base;
mod fragment;
#[cfg(test)]
mod golden;
mod names;
mod program;
mod saved;
mod table;

pub use base::Base;
pub use fragment::{Fragment, List};
pub use program::{Iptables, cleanup};
pub use table::Table;
