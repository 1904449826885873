//! What a cluster on one machine is made of, as data: hosts, addresses, folders, and where it is written down.

mod embedded;
mod folders;
mod hosts;
mod services;
mod state;

pub(crate) use embedded::Embedded;
pub(crate) use folders::Folders;
pub(crate) use hosts::{Host, Role};
pub(crate) use services::{Means, of_machine, services};
pub(crate) use state::{BRIDGE, Cluster, Lock, Wanted, id, text};
