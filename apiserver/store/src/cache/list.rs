//! What a read asks for, and why it may fail.

use crate::client::Failure;

/// How current a list must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Whatever the cache has. (`resourceVersion=0`)
    Any,
    /// At least this revision. (`resourceVersionMatch=NotOlderThan`)
    NotOlderThan(i64),
    /// Exactly this revision. (`resourceVersionMatch=Exact`, and the later pages of a list)
    Exact(i64),
    /// As of a moment after the read began. (no `resourceVersion`)
    Consistent,
}

/// Why the cache cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The events or objects asked for are gone: list anew.
    #[error("the revision is too old; the oldest known is {oldest}")]
    TooOld {
        /// The first revision after which all events are known.
        oldest: i64,
    },
    /// The state asked for never was in the cache, but the store has it.
    #[error("the state at revision {0} is known to the store only")]
    StoreOnly(i64),
    /// The revision asked for has not been seen within the time a read waits for it.
    #[error("revision {requested} is in the future; now is {current}")]
    TooLarge {
        /// What was asked for.
        requested: i64,
        /// What is known.
        current: i64,
    },
    /// The first list of the resource has not been completed.
    #[error("the cache is not ready: {0}")]
    NotReady(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Failure),
    /// The cache has been shut down.
    #[error("the cache has been shut down")]
    Closed,
}
