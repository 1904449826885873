//! The Raft log on disk.
//!
//! Entries, the vote and the committed id are appended to segment files that are reserved in
//! advance and recycled after a purge. One thread writes: it takes everything that queued while the
//! previous sync ran, writes it with one call, syncs once and then answers. There is no fixed delay.
//! Recent entries are kept in memory, older ones are read back from the segments.
//!
//! What is on disk describes itself: each segment begins with all state that earlier segments
//! established, each record carries a checksum that is bound to its segment, and a small witness
//! file beside the log says what was durable. Recovery can therefore tell a batch that was torn by a
//! crash (never acknowledged: dropped) from damage to acknowledged records (reported, so that the
//! member does not vote). See [`Verdict`].
//!
//! This crate knows nothing of Raft's rules, of tokio or of the state machine; it never interprets
//! votes or payloads. A failed write or sync is final: it is reported and nothing is ever
//! acknowledged again.
#![forbid(unsafe_code)]

pub mod codec;
pub mod disk;
mod entry;
mod error;
mod keeper;
pub mod limits;
mod options;
mod places;
mod queue;
mod reading;
mod record;
mod recover;
mod replay;
mod segments;
mod settle;
mod shared;
mod stats;
mod verdict;
mod verify;
mod view;
mod wal;
mod wire;
mod witness;
mod writer;

pub use disk::{Disk, DiskFile, MemDisk, OsDisk};
pub use entry::{Entry, LogId};
pub use error::{Failure, WalError};
pub use options::Options;
pub use queue::Done;
pub use shared::OnFatal;
pub use stats::{SYNC_BUCKETS, Stats};
pub use verdict::{Damage, DamageKind, Recovered, Verdict};
pub use verify::{Pace, Verified};
pub use wal::{Driver, State, Wal};
