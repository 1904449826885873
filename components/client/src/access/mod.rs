//! The way to the apiserver: connections, identities, limits and what is counted.

mod figures;
mod gate;
mod identity;
mod open;
#[cfg(test)]
mod rotation_tests;
mod sender;
mod servers;
mod stream;
mod transport;

pub use open::{Access, AccessError, AccessOptions};
