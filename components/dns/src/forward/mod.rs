//! Names that are not the cluster's are asked of other servers.

mod exchange;
mod forwarder;
mod policy;
mod resolv;
mod upstream;

pub(crate) use forwarder::{Forwarder, Permit};
pub use policy::Policy;
pub use resolv::{BadUpstream, upstreams};
