//! Cluster roles whose rules are those of others. The apiserver of this project keeps them itself; with one that
//! does not, this controller does.

mod controller;

pub use controller::cluster_role_aggregation;
