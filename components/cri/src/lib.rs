//! Kubernetes' container runtime interface, version 1: its messages, and a client over a Unix socket.
//!
//! [`Runtime::call`] sends a request and has its answer; which method a request belongs to is a property of its type
//! ([`Call`]). Whatever a runtime answers is untrusted: absent messages are `None`, unknown numbers stay numbers.

#![forbid(unsafe_code)]

mod client;
mod failure;
pub mod limits;
mod messages;
mod methods;

pub use client::Runtime;
pub use failure::{CriError, Trouble};
pub use messages::*;
pub use methods::{Call, Follow};
