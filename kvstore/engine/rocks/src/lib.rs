//! The RocksDB engine. The only crate that names rocksdb.
//!
//! RocksDB runs without its own write-ahead log: durability is the Raft log's business until
//! [`Engine::flush`](mainstay_engine::Engine::flush) or a memtable fills. Atomic flush keeps all column
//! families at one moment, so after a crash the data stands at some earlier batch as a whole.

#![forbid(unsafe_code)]

mod cursor;
mod engine;
mod limits;
mod options;
mod scrub;
mod sums;
mod tuning;

pub use self::engine::{RocksEngine, RocksSnapshot};
pub use self::options::RocksOptions;
