//! Addresses and ports of services. Each is claimed by creating a key that must not exist, so any number of servers
//! hand them out side by side and no table has to be repaired; what a dead server leaves behind is freed by a loop.

mod addresses;
mod allocate;
mod claim;
mod families;
mod ports;

pub(crate) use allocate::Allocators;
pub(crate) use claim::{Claim, Sent};
