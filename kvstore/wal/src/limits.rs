//! Every bound of this crate in one place.

/// Size of one segment file unless the options say otherwise.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// Smallest segment the options may ask for (tests use tiny ones).
pub const SEGMENT_BYTES_MIN: u64 = 1 << 10;
/// Largest segment the options may ask for; offsets inside a segment are kept as `u32`.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Payload bytes of recent entries kept in memory unless the options say otherwise.
pub const TAIL_BYTES_DEFAULT: usize = 128 << 20;
/// Bytes accepted but not yet durable; beyond it calls fail with `Backlogged`.
pub const QUEUE_BYTES_MAX: usize = 256 << 20;
/// Largest payload of one entry.
pub const ENTRY_PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// Most bytes one `append` call may carry, framing included.
pub const APPEND_BYTES_MAX: usize = 256 << 20;
/// Largest opaque vote.
pub const VOTE_BYTES_MAX: usize = 256;
/// Payloads up to this size are copied next to their headers; larger ones are written from where
/// they are. Copying is cheaper than one more element of the gather list up to about this size.
pub const COPY_PAYLOAD_BYTES_MAX: usize = 4 << 10;
/// Recycled segment files kept for reuse; more are deleted.
pub const FREE_SEGMENTS_MAX: usize = 4;
/// The witness is brought to disk at most this often.
pub const WITNESS_SYNC_MS: u64 = 100;
/// After a failed preallocation the next attempt waits this long.
pub const PREALLOCATE_RETRY_MS: u64 = 1_000;
/// How often the writer tries again while the disk is full.
pub const FULL_RETRY_MS: u64 = 50;
/// Old entries are read from disk in pieces of about this size even if the caller asked for less.
pub const READ_CHUNK_BYTES: usize = 256 << 10;
/// Most bytes one `read` takes from disk at once (one larger entry is still served).
pub const READ_BYTES_MAX: usize = 16 << 20;
/// Staging buffers larger than this are given back after a burst.
pub const STAGING_KEEP_BYTES: usize = 8 << 20;
/// Zeros are written in pieces of this size.
pub const ZERO_CHUNK_BYTES: usize = 1 << 20;

const _: () = assert!(ENTRY_PAYLOAD_BYTES_MAX < APPEND_BYTES_MAX);
const _: () = assert!(APPEND_BYTES_MAX <= QUEUE_BYTES_MAX);
const _: () = assert!(SEGMENT_BYTES_MAX + (APPEND_BYTES_MAX as u64) < u32::MAX as u64);
/// The running log is read back for verification in pieces of this size (a larger record at once).
pub const VERIFY_PIECE_BYTES: usize = 1 << 20;
