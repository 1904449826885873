//! The scheduler at work: what it hears of the apiserver, and what it tells it.

mod bind;
mod condition;
mod figures;
mod follow;
mod inbox;
mod scheduler;
mod trim;

pub use scheduler::{Options, schedule};
