//! Replica sets and replication controllers: as many pods as asked for.
//!
//! One controller for both kinds, as upstream's is: they differ in their names and in how a selector is written.

mod controller;
mod kind;
mod rank;
mod status;

pub use controller::{replicasets, replication_controllers};
