//! The whole product as its users have it: `mainstay up` on this machine, kubectl, containers that serve, and clients
//! that never stop asking. Shared by the test `stack` and the program `stack_faults`.
//!
//! Nothing here looks into the product: it starts and kills it with its launcher, speaks to it through its API, asks its
//! services over the network, and reads what containers wrote.

mod caller;
mod cluster;
mod exec;
pub mod faults;
mod figures;
mod inside;
mod launcher;
mod ledger;
pub mod limits;
mod pods;
mod web;

pub use caller::{Asked, Caller, ask};
pub use cluster::Stack;
pub use figures::Figures;
pub use inside::Inside;
pub use ledger::{Ledger, Written};
pub use pods::{Life, lives};
pub use web::{BUSYBOX, Web};
