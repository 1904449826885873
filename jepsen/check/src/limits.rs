//! Limits of this crate, in one place.

/// Bytes one line of a history may have: a range over everything is the largest record there is.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// Bad lines that are reported one by one; the others are only counted.
pub const BAD_LINES_MAX: usize = 100;

/// Bytes the writer of a history gathers before it hands them to the file.
pub const WRITE_BUFFER_BYTES: usize = 256 << 10;

/// Anomalies one checker reports in full; the others are only counted.
pub const ANOMALIES_MAX: usize = 100;

/// Operations tried as the author of one revision that nobody claims.
pub const CANDIDATES_MAX: usize = 512;

/// Revisions replayed again while alternatives are tried, over the whole search.
pub const REPLAYED_AGAIN_MAX: u64 = 1_000_000;

/// Events of one watch that are remembered before old ones are forgotten.
pub const WATCH_MEMORY: usize = 4 << 10;

/// Revisions back within which a repeated event is still recognised as such once old ones are forgotten;
/// older ones are found as out of order.
pub const WATCH_BACK: i64 = 1 << 10;

/// Time for the searches of WGL over all keys, unless asked otherwise.
pub const SEARCH_TIME: std::time::Duration = std::time::Duration::from_secs(5);

/// Transactions given to the search for cycles at once, unless asked otherwise. Its time grows with the square of them.
pub const CYCLE_TXNS: usize = 10_000;

/// Operations of unknown outcome on one key that a search can keep track of.
pub const OPEN_STEPS_MAX: usize = 128;

/// Places a search remembers, about 200 bytes each.
pub const SEARCH_MEMORY_MAX: usize = 2_000_000;
