//! What can go wrong in an engine.

/// A failure of the engine. All but [`EngineError::Full`] and [`EngineError::Stalled`] are final: after a failed
/// write or flush the state on disk is unknown and the process must stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Stored bytes fail their checksum or cannot be what was written.
    #[error("stored data is corrupt: {0}")]
    Corrupt(String),
    /// The operating system refused a read or a write.
    #[error("storage failed: {0}")]
    Io(String),
    /// The disk has no room. Nothing of the call happened; the same call may be made again later.
    #[error("no space left: {0}")]
    Full(String),
    /// Flushing and merging are behind and must catch up first. Nothing of the call happened; the same call may
    /// be made again soon.
    #[error("writes are stalled: {0}")]
    Stalled(String),
    /// The checkpoint directory is already there.
    #[error("directory {0} already exists")]
    Exists(String),
    /// Anything else the engine reports (busy, aborted, wrong options).
    #[error("engine failed: {0}")]
    Other(String),
}

impl From<std::io::Error> for EngineError {
    fn from(e: std::io::Error) -> Self {
        match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Full(e.to_string())
            }
            _ => Self::Io(e.to_string()),
        }
    }
}
