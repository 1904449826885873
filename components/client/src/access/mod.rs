//! The way to the apiserver: connections, identities, limits and what is counted.

mod dial;
mod figures;
mod gate;
mod heard;
mod identity;
mod made;
mod open;
#[cfg(test)]
mod rotation_tests;
mod sender;
mod servers;
mod stream;
mod transport;
mod watches;
#[cfg(test)]
mod watches_test;

pub use open::{Access, AccessError, AccessOptions};
