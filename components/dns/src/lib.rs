//! Names for a cluster: Kubernetes' DNS-based service discovery, and a forwarder with a cache for all other names.
//!
//! Answers about the cluster come from an index ([`Index`]) that is kept ready by watches; a question costs what its
//! answer is large, whatever the cluster is large. While no apiserver answers, what was known goes on being told.

#![forbid(unsafe_code)]

mod cache;
mod figures;
mod follow;
mod forward;
pub mod limits;
mod manifests;
mod serve;
mod server;
pub mod wire;
mod zone;

pub use forward::{BadUpstream, Policy, upstreams};
pub use manifests::manifests;
pub use server::{NoStart, Options, serve};
pub use zone::{Found, Index, NotADomain};
