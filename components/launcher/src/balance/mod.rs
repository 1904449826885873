//! `mainstay balance`: one address of this host that leads to whichever apiserver is well.
//!
//! Connections are passed on as they are. A server that stops being ready loses its connections at once, so that
//! clients notice and come again, to another one.

mod backend;
mod health;
mod serve;

pub(crate) use health::Probe;
pub(crate) use serve::{Balance, balance};
