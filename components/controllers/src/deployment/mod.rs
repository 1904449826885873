//! Deployments: replica sets of one template after the other, with as many pods in all as may be missing or too many.
//!
//! What a round decides from is the sizes that the replica sets ask for and the pods that they tell to be available,
//! never what an earlier round had in mind: a controller that ends between two writes leaves nothing but sizes behind.

mod annotations;
mod bounds;
mod cleanup;
mod conditions;
mod controller;
mod proportional;
mod rolling;
mod round;
mod sets;
mod status;

pub use controller::deployments;
