//! Faults for real processes: networks, links, disks, clocks, files and processes that misbehave on demand.
//!
//! These are primitives; the harness composes them into nemeses. Three rules hold for all of them:
//!
//! - **A fault proves that it acted.** Every injection returns a [`Proof`] or something that makes one: packets that a
//!   rule counted, a process state read from `/proc`, the errno a probe write met, bytes before and after.
//! - **A fault can be undone.** Networks, links, disks, clocks and processes are, when their owner is dropped; damage in
//!   files is by [`files::Injury::undo`].
//! - **Nothing is left behind.** Everything that outlives a process (namespaces, mounts, loop devices) carries the
//!   number of the [`Run`] that made it, and the next run removes what dead runs left.
//!
//! All calls but those of [`proxy`] block for milliseconds (some for a second): call them on a thread that may.
//! What a machine must offer for which fault is named by [`Need`].

pub mod capability;
pub mod clock;
pub mod disk;
pub mod fabric;
pub mod files;
pub mod limits;
pub mod net;
pub mod party;
pub mod process;
pub mod proxy;
pub mod run;

mod command;
mod error;
mod procfs;
mod proof;
mod spawn;

pub use capability::Need;
pub use clock::Clock;
pub use disk::Disk;
pub use error::{Error, Result};
pub use fabric::Fabric;
pub use net::Network;
pub use party::{Blocked, Party};
pub use process::Process;
pub use proof::Proof;
pub use run::Run;
