//! A host of a cluster: namespaces with a disk, a link and a first process of their own.
//!
//! Its root is an ordinary folder, in which the machine's programs (`/usr`) are to be seen but not to be changed. When
//! its first process ends, however that happens, all others end with it, as if the power had gone; its disk stays.

mod before;
mod boot;
mod cgroups;
mod links;
mod power;
mod process;

pub(crate) use before::{MachineLock, forward, forward_no_more};
pub(crate) use boot::boot;
pub(crate) use cgroups::{bases, remove_from_roots};
pub(crate) use links::{free_subnet, lay_bridge, links, take_bridge};
pub(crate) use power::{Power, enter, into_namespaces};
pub(crate) use process::Process;
