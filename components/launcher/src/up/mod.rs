//! `mainstay up` and `mainstay down`.

mod api;
mod bring;
mod down;
mod embedded;
mod hosts;
mod rights;
mod system;
mod tour;

pub(crate) use api::nodes;
pub(crate) use bring::{Up, up};
pub(crate) use down::{Down, down};
pub(crate) use hosts::prepare;
