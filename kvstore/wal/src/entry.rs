//! Log ids and entries.

use bytes::Bytes;

/// Names one entry of the log. Ordered by term, then leader, then index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    pub term: u64,
    pub leader: u64,
    pub index: u64,
}

/// One entry. `kind` and `payload` belong to the caller and are never looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: LogId,
    pub kind: u8,
    pub payload: Bytes,
}
