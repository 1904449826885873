//! The garbage collector: what has lost all its owners goes, and what waits for its dependents waits no longer than
//! they are there.
//!
//! Watches of all kinds that can be deleted build a graph ([`graph`]) that says what is worth a look. What is done
//! is decided ([`verdict`]) from what the server says at that moment, and every write names the uid and the
//! resourceVersion it was decided from: a graph that is wrong or late costs requests, never objects.

mod absent;
mod controller;
mod graph;
#[cfg(test)]
mod graph_test;
mod server;
mod verdict;

pub use controller::garbage_collector;
