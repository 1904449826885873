//! Pods that are all the same to the scheduler, and what is known about them together.

mod cache;
mod key;
mod local;
mod made;

pub(crate) use cache::Classes;
pub(crate) use local::{LocalPlugins, Verdict, plugins};
pub(crate) use made::Class;
