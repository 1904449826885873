//! Every limit and deadline of this crate, in one place.

/// Longest part of another program's stderr that an error repeats, in bytes.
pub const STDERR_SHOWN_MAX: usize = 2_048;
/// Open files that a process of a cluster of a few nodes needs.
pub const OPEN_FILES_MIN: u64 = 4_096;
/// Free space below which a cluster is not worth starting, in bytes.
pub const DISK_FREE_MIN: u64 = 2 << 30;
/// Available memory below which the same holds, in bytes.
pub const MEMORY_FREE_MIN: u64 = 1 << 30;
