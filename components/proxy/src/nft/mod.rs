//! Services as one table of nftables, laid out as upstream's: `ip kube-proxy`.
//!
//! A packet finds its service by one look-up in a map (`service-ips`, `service-nodeports`), and its endpoint by one
//! more; what there is of services does not matter. What a service contributes is its [`Fragment`]; [`Table`] knows
//! what the kernel has and writes the difference, which depends on what changed and on nothing else.
//!
//! Unlike upstream's, endpoints of services with more than one are not in maps without names (the kernel compares
//! the name of each new one with all others: ten thousand take 20 seconds) but in `endpoints-0` and on, each shared
//! by a few services under numbers of their own; only those whose endpoints have different ports are as upstream's.

mod base;
mod fragment;
#[cfg(test)]
mod golden;
mod names;
mod program;
mod rule;
mod slots;
mod table;
mod transaction;
mod verify;

pub use base::Base;
pub use fragment::{Element, Fragment, Place, Surroundings};
pub use program::{Nftables, cleanup};
pub use rule::{Rule, Verdict};
pub use table::Table;
pub use transaction::Transaction;
pub use verify::{Found, differences};

/// Family and name of the table.
pub const TABLE: &str = "ip kube-proxy";
