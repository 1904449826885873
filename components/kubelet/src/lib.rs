//! Kubernetes' kubelet: runs a node's pods through a CRI runtime.
//!
//! What shall happen to a pod next is a pure function of its spec, of what the runtime was seen to run, and of the
//! time. What a container is to its pod stands in the labels and annotations it was created with ([`labels`]), under
//! upstream's names: a kubelet that starts anew finds everything as it was and disturbs nothing.

#![forbid(unsafe_code)]

pub mod admit;
pub mod certificates;
pub mod cgroups;
pub mod config;
pub mod context;
pub mod decide;
pub mod figures;
pub mod healthz;
pub mod keep;
pub mod labels;
pub mod limits;
pub mod node;
pub mod observed;
pub mod probes;
pub mod report;
mod run;
pub mod runtime;
pub mod server;
pub mod sources;
pub mod spec;
pub mod status;
pub mod told;
pub mod volumes;
pub mod worker;

pub use run::{Ended, run};
