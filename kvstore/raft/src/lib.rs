//! The Raft side of a member: openraft on our own log, state machine and peer network.
//!
//! [`Node`] is what the server uses: propose a command, confirm a linearizable read, renew leases, change
//! members. Every member does all of it, forwarding to the leader where needed; a write's result always
//! comes from the member's own apply. This crate knows nothing of gRPC.

#![forbid(unsafe_code)]

mod admission;
mod alarms;
mod answer;
mod batch;
mod codec;
mod command;
mod config;
pub mod contacts;
pub mod env;
mod error;
mod files;
mod full;
pub mod ident;
pub mod identity;
pub mod inspect;
mod leadership;
mod leases;
pub mod limits;
mod log_store;
mod members;
mod membership;
mod metrics;
mod node;
mod peer;
mod proposals;
mod quota;
mod reads;
mod reclaim;
mod records;
pub mod repair;
mod snapshot;
mod space;
mod space_watch;
mod start;
mod state_dir;
mod state_machine;
mod storage;
mod types;
mod waiters;

pub use self::alarms::{AlarmCause, AlarmChange};
pub use self::command::{Applied, Command};
pub use self::config::{InitialMember, NodeConfig};
pub use self::env::Env;
pub use self::error::{Error, StartError, StopReason};
pub use self::metrics::Metrics;
pub use self::node::{LeaderInfo, LeaseInfo, Node, Status};
pub use self::peer::{PeerUrl, RemoteCluster, fetch_members};
pub use self::quota::Charge;
pub use self::space::Room;
pub use self::state_machine::Reader;
