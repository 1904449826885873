//! Revisions, ranges, transactions, compaction and hashing over an engine: what etcd calls its mvcc store.
//!
//! [`Mvcc`] owns the writing side: [`Mvcc::begin`] gives an [`Apply`], which turns any number of requests
//! into one atomic engine batch. [`Reader`]s work beside it on snapshots. [`check`] holds the rules that
//! need no state. Pure: no clock, no threads, no I/O but the engine trait, so that replicas that apply
//! the same requests in the same order hold the same data and answer the same.
//!
//! Layout: `live` has the latest record of every key, `hist` the superseded ones with the revision that
//! superseded them (visible at R iff modified ≤ R < superseded), `log` the events by revision. Compaction
//! at C makes droppable exactly what was superseded at or below C, statelessly.
//!
//! Counts of many keys come from a sparse table in memory, which is learned from readers and kept by
//! commits; it starts empty with every [`Mvcc`] and changes no answer.

#![forbid(unsafe_code)]

mod apply;
mod arena;
pub mod check;
mod chunks;
mod compare;
mod counts;
mod error;
mod events;
mod fences;
mod hash;
mod keys;
pub mod limits;
mod log;
mod overlay;
mod range;
mod reader;
mod record;
mod store;
mod txn;
mod view;

pub use self::apply::{Apply, RevisionEvents, Sealed};
pub use self::chunks::RangeChunks;
pub use self::counts::CountStats;
pub use self::error::MvccError;
pub use self::hash::HashKv;
pub use self::reader::Reader;
pub use self::store::Mvcc;
pub use self::txn::{is_read_only, is_serializable};

/// Which leases exist, as far as the requests of the batch are concerned.
pub trait LeaseLookup {
    fn exists(&self, id: i64) -> bool;
}
