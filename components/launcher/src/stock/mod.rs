//! Images that every cluster needs, made of programs that this machine has: there need be no registry.

mod recipes;

pub(crate) use recipes::{BUSYBOX, DNS, PAUSE, archives, clear, fill};
