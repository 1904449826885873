//! Every limit of this crate.

use std::time::Duration;

/// Values up to this many bytes are stored in the event log itself, so that watch catch-up needs no
/// second read; larger ones are looked up.
pub const LOG_INLINE_VALUE_BYTES_MAX: usize = 1024;

/// A chunk of memory shared by the small keys and values of one answer starts at this size …
pub(crate) const ARENA_CHUNK_BYTES_MIN: usize = 4 * 1024;

/// … and grows to this one. Anything larger gets memory of its own.
pub(crate) const ARENA_CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Candidates kept beyond the limit of a sorted range before the worse half is thrown away.
pub(crate) const SORT_SLACK_KEYS: usize = 1024;

/// Versions of a key read one by one at an old revision before the scan seeks to the next key.
pub(crate) const HIST_STEPS_BEFORE_SEEK: usize = 8;

/// How often a hash is computed anew when a compaction overtakes it.
pub(crate) const HASH_ATTEMPTS_MAX: usize = 5;

/// A key longer than this never becomes a fence.
pub(crate) const COUNT_FENCE_KEY_BYTES_MAX: usize = 1024;

/// How often what a count has found is brought up to a table that moves on before it is given up.
pub(crate) const COUNT_INSTALL_ATTEMPTS_MAX: usize = 4;

/// Events read for a count at an old revision however few keys that spares.
pub(crate) const COUNT_LOG_EVENTS_MIN: i64 = 256;

/// A count that had to scan more pieces than the two ends of its range tells the table what they hold,
/// however little that is.
pub(crate) const COUNT_PIECES_MAX: usize = 2;

/// When and how keys are counted without reading them all. The defaults are for production; tests have
/// smaller ones, so that few keys are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountLimits {
    /// Keys per interval of the table. From twice as many on, an interval is cut by the next count that
    /// ends within it.
    pub interval_keys: u32,
    /// Keys a limited range counts one by one before it asks the table.
    pub scan_first: usize,
    /// Keys a count must have scanned for the table to learn from it.
    pub learn_keys: usize,
    /// Events read to get from one revision to another, at most.
    pub log_events: usize,
}

impl Default for CountLimits {
    fn default() -> Self {
        Self {
            interval_keys: 256,
            scan_first: 64,
            learn_keys: 512,
            log_events: 10_000,
        }
    }
}

const _: () = assert!(ARENA_CHUNK_BYTES_MIN <= ARENA_CHUNK_BYTES_MAX);

/// Pause before a batch is given again to an engine that has to catch up.
pub(crate) const STALL_PAUSE: Duration = Duration::from_millis(1);
