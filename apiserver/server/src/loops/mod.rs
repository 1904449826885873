//! What every server does beside answering: objects a cluster cannot be without, and what keeps them true.

mod aggregate;
mod bootstrap;
mod endpoints;
mod follow;
mod legacy;
mod nodes;
mod policy;
mod trust;
mod write;

pub(crate) use aggregate::aggregate_roles;
pub(crate) use bootstrap::bootstrap;
pub(crate) use endpoints::publish_endpoints;
pub(crate) use legacy::LegacyUses;
pub(crate) use nodes::feed_nodes;
pub(crate) use policy::{feed_authorizer, reconcile_policy};
pub(crate) use trust::publish_trust;
