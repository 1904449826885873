//! What can go wrong in the store.

use mainstay_engine::EngineError;

/// A refused request or a failure below.
///
/// Everything but [`MvccError::Engine`] and [`MvccError::Corrupt`] is an answer to the client, is found
/// before anything is changed and is the same on every replica.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MvccError {
    #[error("key is not provided")]
    EmptyKey,
    /// `ignore_value` or `ignore_lease` on a missing key, or an operation of a transaction that is empty.
    #[error("key not found")]
    KeyNotFound,
    #[error("value is provided")]
    ValueProvided,
    #[error("lease is provided")]
    LeaseProvided,
    #[error("requested lease not found")]
    LeaseNotFound,
    #[error("too many operations in txn request")]
    TooManyOps,
    #[error("duplicate key given in txn request")]
    DuplicateKey,
    #[error("invalid sort option")]
    InvalidSortOption,
    #[error("required revision has been compacted")]
    Compacted,
    #[error("required revision is a future revision")]
    FutureRevision,
    /// A transaction that writes was given to a reader.
    #[error("transaction is not read-only")]
    NotReadOnly,
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A stored record cannot be what was written.
    #[error("stored record is corrupt: {0}")]
    Corrupt(String),
}

impl MvccError {
    /// Whether the store itself failed, as opposed to refusing the request. The process should stop.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Engine(_) | Self::Corrupt(_))
    }

    pub(crate) fn corrupt(what: &str, key: &[u8]) -> Self {
        Self::Corrupt(format!("{what} of key {}", key.escape_ascii()))
    }
}
