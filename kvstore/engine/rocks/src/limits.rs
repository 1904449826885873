//! Every limit of this crate.

use std::time::Duration;

/// Threads for flushes and compactions, shared by all engines of the process.
pub(crate) const BACKGROUND_JOBS_MAX: i32 = 2;

/// How long flushing and merging may hold up writes after a failure before the disk counts as full.
pub(crate) const STALL_PATIENCE: Duration = Duration::from_secs(1);

/// How long a reclamation waits for merging that began before it: a busy database may always merge something …
pub(crate) const OLDER_MERGES_PATIENCE: Duration = Duration::from_secs(5);
/// … and how often it looks.
pub(crate) const OLDER_MERGES_PAUSE: Duration = Duration::from_millis(2);

/// Table files held open. Beyond it the least recently used are closed.
pub(crate) const OPEN_FILES_MAX: i32 = 2048;

/// The default block cache is this fraction of the machine's memory …
pub(crate) const BLOCK_CACHE_MEMORY_DIVISOR: u64 = 64;
/// … within these bounds, in bytes.
pub(crate) const BLOCK_CACHE_BYTES_MIN: u64 = 32 << 20;
pub(crate) const BLOCK_CACHE_BYTES_MAX: u64 = 256 << 20;

/// All memtables together, in bytes: reaching it flushes them all.
pub(crate) const MEMTABLES_BYTES_MAX: usize = 64 << 20;
/// One memtable of a large column family (live, hist, log), in bytes.
pub(crate) const MEMTABLE_BYTES_MAX: usize = 32 << 20;
/// One memtable of a small column family, in bytes.
pub(crate) const SMALL_MEMTABLE_BYTES_MAX: usize = 8 << 20;
/// Memtables of a column family, the ones being flushed included, before writes wait.
pub(crate) const MEMTABLES_PER_CF_MAX: i32 = 4;

/// Size of table files, in bytes. Small enough for dropping the old log by whole files.
pub(crate) const TABLE_FILE_BYTES: u64 = 16 << 20;

/// Their size at least, where memory is small.
pub(crate) const TABLE_FILE_BYTES_MIN: u64 = 1 << 20;

/// By how much the file that lists the tables grows at once, in bytes.
pub(crate) const MANIFEST_STEP_BYTES: usize = 64 << 10;

/// Reclaiming merges a column family whose files hold more than this many times what it would leave.
pub(crate) const GARBAGE_FACTOR: u64 = 2;

/// Bytes of a table block.
pub(crate) const BLOCK_BYTES: usize = 8 << 10;

/// A file with this many deletions within a window of that many entries is compacted soon, so that
/// churning keys do not leave scans a desert of tombstones to cross.
pub(crate) const DELETIONS_TRIGGER: usize = 512;
pub(crate) const DELETIONS_WINDOW: usize = 2048;
/// The same by the share of deletions in a whole file.
pub(crate) const DELETIONS_RATIO: f64 = 0.5;

/// Files of history that pile up before they are merged. RocksDB's default is 4.
pub(crate) const HIST_L0_FILES_TRIGGER: i32 = 8;

/// Compression of long-lived data: the fastest level, three times lz4's cost for half its size.
pub(crate) const ZSTD_LEVEL: i32 = 1;
/// RocksDB's own default, which it ignores for zstd.
pub(crate) const WINDOW_BITS_DEFAULT: i32 = -14;

/// Bytes of a block of `live`: point reads decompress a whole one when it is not in the cache.
pub(crate) const LIVE_BLOCK_BYTES: usize = 4 << 10;

/// Bytes read at once while files are checked.
pub(crate) const SCRUB_PIECE_BYTES: usize = 1 << 20;
/// Bytes of records read between two looks at the pace while records are checked.
pub(crate) const SCRUB_STEP_BYTES: u64 = 1 << 20;
/// Longest list of checksums that is read (bytes): room for 300,000 table files.
pub(crate) const SUMS_BYTES_MAX: u64 = 16 << 20;
