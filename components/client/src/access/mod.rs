//! The way to the apiserver: connections, identities, limits and what is counted.

mod dial;
mod figures;
mod gate;
mod heard;
mod open;
mod sender;
mod servers;
mod stream;
mod transport;
mod watches;
#[cfg(test)]
mod watches_test;

pub use open::{Access, AccessError, AccessOptions};
