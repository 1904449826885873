//! Which pod goes to which node: kube-scheduler's default profile.
//!
//! A decision is a pure function of a [`snapshot::Snapshot`] and a pod, made by a [`Decider`]: no I/O, no clock, one
//! thread. The snapshot holds nodes as columns and changes in place with every event. What pods of the same make
//! have in common (which nodes suit them, and how well) is remembered by their [`class`], so that placing one of
//! them makes only the node it went to be looked at again.

#![forbid(unsafe_code)]

mod class;
mod config;
mod decide;
mod diagnosis;
pub mod limits;
mod plugins;
mod pod;
mod queue;
mod random;
mod run;
mod selector;
mod snapshot;

pub use config::{Config, ConfigError, Connection, LeaderElection};
pub use decide::{Decider, Decision};
pub use diagnosis::{Failure, Tail};
pub use plugins::Plugin;
pub use pod::PodInfo;
pub use queue::{Counts, Event, Waiting};
pub use run::{Options, schedule};
pub use snapshot::{NodeChange, NodeIndex, OwnerKind, Snapshot};

#[cfg(test)]
mod tests;
