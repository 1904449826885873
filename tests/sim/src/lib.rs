//! Deterministic simulation of the store: the real member — Raft, log, state machine, peer protocol,
//! leases, reads, watches, membership — on a simulated machine and network. One seed decides everything.
//!
//! - `process`: makes this process repeatable: its random numbers and clocks follow the seed.
//! - `machine`: what a member runs on: disk, engine, network, and the [`Env`](mainstay_raft::Env) of them.
//! - `host`: one member: starts, runs, dies. `world`: all of them, clients, faults, the course of a run.
//! - `oracle`: what must hold: the log's safety, the state it leads to, answers, watches, leases.
//! - `campaign`: many seeds, each in a process of its own.
//!
//! Each member lives in a current-thread tokio runtime with a paused clock of its own, which the world
//! advances in small steps: dropping the runtime is the end of the process, advancing it by more or less
//! is a clock that runs fast, slow, jumps or stands still. What a member sends in one step arrives in a
//! later one, so the order in which members are stepped means nothing. (turmoil works the same way, but
//! has no disk, keeps all members' clocks at one rate and gives no hold of connections; what is left of it
//! here is less than the adapters would be.)
//!
//! Disks are [`MemDisk`](mainstay_wal::MemDisk)s: whatever was not synced may be lost in part, and the
//! engine is the in-memory one, which loses everything after its last flush, as RocksDB without its own
//! log does.

#![deny(unsafe_code)]

pub mod campaign;
mod host;
mod limits;
mod logging;
mod machine;
mod oracle;
mod params;
mod process;
mod rng;
mod run;
mod trace;
mod world;

pub use self::run::{EXIT_HARNESS, EXIT_VIOLATION, Outcome, run_seed};
