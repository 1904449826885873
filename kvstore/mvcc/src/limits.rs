//! Every limit of this crate.

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

const _: () = assert!(ARENA_CHUNK_BYTES_MIN <= ARENA_CHUNK_BYTES_MAX);
