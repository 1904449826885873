//! What can go wrong, as callers need to tell it apart.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Errors of the log. Cheap to clone: one failure answers every waiting caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WalError {
    /// Too many bytes wait for the disk; nothing was taken. Try again later.
    #[error("write-ahead log is backlogged: {queued_bytes} bytes wait for the disk")]
    Backlogged { queued_bytes: usize },
    /// The entries do not continue the log; nothing was taken.
    #[error("entry index {got} does not continue the log, expected {expected}")]
    Gap { expected: u64, got: u64 },
    /// An entry, a vote or one whole call is larger than its limit; nothing was taken.
    #[error("{what} of {bytes} bytes is larger than {limit}")]
    TooLarge {
        what: &'static str,
        bytes: usize,
        limit: usize,
    },
    /// The disk has no room. Nothing is lost and nothing is acknowledged: what was accepted waits and is
    /// written when there is room again. Callers see it only when the log is closed meanwhile.
    #[error("no space left for the write-ahead log")]
    Full,
    /// A write or a sync failed earlier. The log accepts nothing any more: the process must end.
    #[error("write-ahead log failed: {0}")]
    Failed(Arc<Failure>),
    /// The log was closed.
    #[error("write-ahead log is closed")]
    Closed,
    /// Bytes read back do not match their checksum.
    #[error("write-ahead log is corrupt: segment {segment:#x} offset {offset}: {what}")]
    Corrupt {
        segment: u64,
        offset: u64,
        what: &'static str,
    },
    /// The disk refused an operation that is not part of the durable path (open, read).
    #[error("{op} of {path:?} failed: {source}")]
    Io {
        op: &'static str,
        path: PathBuf,
        source: Arc<io::Error>,
    },
    /// An option is outside its range.
    #[error("invalid option: {0}")]
    Options(&'static str),
}

/// The first failed write or sync, kept for good.
#[derive(Debug, thiserror::Error)]
#[error("{op}: {source}")]
pub struct Failure {
    /// What was being done.
    pub op: &'static str,
    /// What the disk said.
    pub source: io::Error,
}

impl WalError {
    pub(crate) fn failed(op: &'static str, source: io::Error) -> Self {
        Self::Failed(Arc::new(Failure { op, source }))
    }

    pub(crate) fn io(op: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            op,
            path: path.into(),
            source: Arc::new(source),
        }
    }
}
