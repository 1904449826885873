//! Nodes that are no longer heard of: their conditions become unknown, their pods unready, and taints say so to the
//! scheduler and to who evicts. Evictions wait for each other, and stop when whole zones fall silent.
//!
//! Who decides is pure and is told the time: [`health`] when a node is silent, [`sight`] when this controller cannot
//! tell, [`marks`] which taints and labels a node has, [`zones`] how fast a zone may lose nodes, and [`turns`] whose
//! turn it is.

mod controller;
mod figures;
mod health;
mod marks;
mod pods;
mod sight;
mod turns;
mod zones;

pub use controller::node_lifecycle;
