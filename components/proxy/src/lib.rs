//! What kube-proxy is to Kubernetes: packets to the addresses of services find their way to endpoints, by rules of
//! the kernel that this program writes. No packet passes through it.
//!
//! [`model`] holds what the apiserver says of services and who answers for them, and decides which endpoints each
//! port uses on this node; it is pure. [`nft`] and [`iptables`] turn that into rules: pure text, and the programs that
//! hand it to the kernel. The loop between them takes what changed, at most once in a while, and writes that.
//! What is not said by the apiserver is not kept anywhere: the rules outlive this process, and a new one takes them
//! over as it finds them.
//!
//! IPv4 only; SCTP is left out.

#![forbid(unsafe_code)]

mod board;
pub mod command;
mod conntrack;
mod engine;
mod feed;
mod flags;
mod health;
pub mod iptables;
pub mod limits;
mod local;
mod metrics;
pub mod model;
mod names;
pub mod nft;
mod rules;
mod run;
#[cfg(test)]
mod samples;
mod serve;
pub mod sysctl;

pub use board::Board;
pub use engine::{DetectLocal, Engine, HealthPorts, Pace, Wish};
pub use flags::Own;
pub use health::Health;
pub use local::{Local, NodePorts, own_addresses};
pub use metrics::Figures;
pub use rules::{Rules, Setting};
pub use run::{Mode, Options, cleanup, proxy};
