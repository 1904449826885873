//! `mainstay up` and `mainstay down`.

mod api;
mod bring;
mod down;
mod embedded;
mod hosts;
mod rights;
mod system;
mod tour;

pub(crate) use api::{client, is_ready, nodes};
pub(crate) use bring::{Up, up, wait};
pub(crate) use down::{Down, down};
pub(crate) use hosts::prepare;
pub(crate) use rights::JOINERS;
pub(crate) use system::NAMESPACE;
