//! The way to kubelets: which address of a node, which certificates.

mod address;
mod kubelets;
mod trust;

pub(crate) use address::{Endpoint, endpoint};
pub(crate) use kubelets::Kubelets;
pub(crate) use trust::Files;
