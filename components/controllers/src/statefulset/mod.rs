//! Stateful sets: pods with names, ordinals and claims of their own, at most one of each at any time.
//!
//! The apiserver gives a name once, and a pod is only made when the one before it is gone from there; so there are never
//! two of one identity, whatever this controller knows or does not know.

mod act;
mod controller;
mod identity;
mod plan;
mod retention;
mod status;

pub use controller::statefulsets;
