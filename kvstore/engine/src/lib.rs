//! An ordered key-value engine with atomic batches, snapshots and checkpoints.
//!
//! This crate holds the traits ([`Read`], [`Cursor`], [`Engine`]), the neutral write [`Batch`] and
//! [`MemEngine`], an in-memory implementation for tests and simulation. The RocksDB implementation is the
//! crate `mainstay-engine-rocks`, the only place that names RocksDB. Nothing here knows about revisions
//! except for the one hint ([`Engine::set_compacted`]) that lets an engine drop history by itself.

#![forbid(unsafe_code)]

mod batch;
mod cf;
mod error;
mod mem;
mod read;
mod scrub;

pub use self::batch::{Batch, BatchOp};
pub use self::cf::Cf;
pub use self::error::EngineError;
pub use self::mem::{MemEngine, MemSnapshot};
pub use self::read::{Cursor, Direction, Engine, EngineSize, Read, Visit};
pub use self::scrub::{FileSum, OnCorruption, Pace, Scrub, Scrubbed};

/// The first bytes of every value of [`Cf::Hist`]: the revision that superseded the record, big-endian.
pub const SUPERSEDED_LEN: usize = 8;

/// The revision that superseded a record of [`Cf::Hist`], or `None` if the value is too short to hold one
/// (a damaged record, which an engine must keep).
pub fn superseded_at(hist_value: &[u8]) -> Option<i64> {
    let bytes = hist_value.first_chunk::<SUPERSEDED_LEN>()?;
    Some(i64::from_be_bytes(*bytes))
}
