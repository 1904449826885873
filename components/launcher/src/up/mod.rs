//! `mainstay up` and `mainstay down`.

mod api;
mod bring;
mod down;
mod system;
mod tour;

pub(crate) use api::nodes;
pub(crate) use bring::{Up, prepare, up};
pub(crate) use down::{Down, down};
