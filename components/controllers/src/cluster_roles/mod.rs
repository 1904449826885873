//! Cluster roles whose rules are those of others.
//!
//! The apiserver of this project keeps them itself, because it may run alone. So this controller gives a role that is
//! wrong some time, and writes only what nobody else does: with an apiserver that leaves it to controllers, as
//! upstream's. Both go by the same function and write only over what they have looked at.

mod controller;

pub use controller::cluster_role_aggregation;
