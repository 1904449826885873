//! Histories of a simulated store that is correct, and ways to spoil them.
//!
//! The store is written apart from the checker's model and in another way (whole snapshots instead of
//! versions), so that one misunderstanding does not hide behind itself.

#![allow(dead_code, unreachable_pub, reason = "every test program uses a part")]
#![allow(clippy::unwrap_used, reason = "this is test code")]

pub mod build;
pub mod mutate;
pub mod store;
pub mod world;
