//! The lease state machine: grants, expiry, renewal and checkpoints, with time passed in.
//!
//! A [`Lessor`] has two halves. The **replicated** half (id → granted TTL and recorded remaining time) changes
//! only by [`Lessor::grant`], [`Lessor::revoke`] and [`Lessor::checkpoint`], called while applying the log, and is
//! equal on every member. The **leader's** half (deadlines) exists between [`Lessor::promote`] and
//! [`Lessor::demote`] and is never replicated: what a successor must know about elapsed time goes through the log
//! as checkpoints, so that a change of leader neither shortens a lease nor starts it afresh.
//!
//! This crate reads no clock, does no I/O and never proposes anything: it says what is due and the caller acts.
//! Which keys hang on a lease is the key-value store's knowledge, not this crate's.

#![forbid(unsafe_code)]

mod deadlines;
mod error;
mod lessor;
pub mod limits;
mod record;

pub use error::LeaseError;
pub use lessor::{Checkpoint, Lessor, Renewal, TimeToLive, min_ttl_s, positive_id};
pub use record::Record;
