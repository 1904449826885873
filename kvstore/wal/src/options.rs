//! How to run the log.

use std::path::PathBuf;

use crate::error::WalError;
use crate::limits::{
    SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, TAIL_BYTES_DEFAULT,
};

/// How to run the log.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of one segment file in bytes.
    pub segment_bytes: u64,
    /// Memory for recent entries in bytes; entries that are not durable are kept beyond it.
    pub tail_bytes: usize,
    /// Never sync: fast, and nothing survives a power loss. For tests and throw-away clusters.
    pub no_fsync: bool,
    /// Fill new segments with zeros instead of only reserving their room: their first use is then
    /// as cheap as that of a recycled one.
    pub prefill: bool,
    /// Where to keep the durable-index record. Default: beside the directory, `<dir>.durable`.
    pub witness: Option<PathBuf>,
    /// Called on the writer thread when it starts, for example to raise its priority.
    pub on_writer_start: Option<fn()>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            tail_bytes: TAIL_BYTES_DEFAULT,
            no_fsync: false,
            prefill: false,
            witness: None,
            on_writer_start: None,
        }
    }
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), WalError> {
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return Err(WalError::Options("segment_bytes is out of range"));
        }
        Ok(())
    }
}
