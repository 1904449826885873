//! Runs components in this process against a real apiserver on a real store, and makes life hard for them.
//!
//! The three ways in which controllers are known to go wrong (Sieve, OSDI '22) are [`sieve`]'s: ended between any two
//! of their writes, blind to events that others have seen, and held back by a server that lags.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

mod faults;
mod hold;
mod instance;
mod kubelets;
mod ledger;
mod nodes;
mod pods;
mod program;
mod rights;
pub mod sieve;
pub mod stack;
mod world;

pub use faults::Faults;
pub use hold::Hold;
pub use instance::{Instance, Start};
pub use kubelets::Kubelets;
pub use ledger::Ledger;
pub use nodes::merge;
pub use pods::is_ready;
pub use program::Program;
pub use rights::{client_as, with_rights_of};
pub use world::{Scene, World};
