//! `mainstay join` and `mainstay leave`: a machine of its own becomes a node of a cluster that another one has.
//!
//! Nothing is to be trusted but what its user brings along: a token, which proves by a signature what the cluster says
//! of itself, and the pin of its authority. Everything runs on the machine's own network, under one supervisor.

mod discover;
mod flags;
mod joined;
mod layout;
mod leave;
mod run;
mod services;
mod signature;

pub(crate) use flags::Join;
pub(crate) use joined::Joined;
pub(crate) use layout::{INFO, LAYOUT, Layout, PUBLIC};
pub(crate) use leave::leave;
pub(crate) use run::join;
