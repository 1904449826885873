//! Every limit of this crate. Bytes unless the name says otherwise.

/// Default bound of the ring of latest events, per shard (batches are shared between shards) and, separately, of
/// the inbox in front of it.
pub const RING_BYTES_DEFAULT: usize = 64 << 20;

/// Events are encoded into buffers of about this size, so that a slice in flight does not pin a whole batch.
pub const ENCODE_CHUNK_BYTES: usize = 256 << 10;

/// Response bodies up to this size are copied behind their header; larger ones are sent as shared pieces. Copying
/// this much costs less than another piece would in reference counts and I/O vectors.
pub const COPY_BYTES_MAX: usize = 4 << 10;

/// Responses are written into chunks of this size at first…
pub const CHUNK_BYTES_MIN: usize = 16 << 10;

/// …and of this size once a stream has filled one.
pub const CHUNK_BYTES_MAX: usize = 64 << 10;

/// A response takes no further revision once it has this many bytes of events. A single larger revision is sent
/// whole (or in fragments, if the watcher asked for them).
pub const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// Added to the request limit, this is the size from which responses are fragmented; etcd's gRPC overhead.
pub const FRAGMENT_OVERHEAD_BYTES: usize = 512 << 10;

/// The largest message a protobuf implementation reads. A watcher owed more in one piece is cancelled.
pub const MESSAGE_BYTES_MAX: usize = (2 << 30) - 1;

/// Matches that one range keeps for its lagging watchers; beyond, the laggards read history.
pub const PENDING_PER_GROUP_MAX: usize = 4 << 10;

/// Matches that all ranges of a shard keep together.
pub const PENDING_TOTAL_MAX: usize = 4 << 20;

/// Revisions read from history in one step; as etcd's.
pub const HISTORY_REVISIONS_MAX: usize = 1_000;

/// Bytes read from history in one step (one revision at least).
pub const HISTORY_BYTES_MAX: usize = 1 << 20;

/// After history could not be read, it is tried again this much later.
pub const HISTORY_RETRY_MS: u64 = 100;

/// Pieces of history a shard keeps for others that catch up at the same place.
pub const HISTORY_CHUNKS_MAX: usize = 4;

/// What was read for catching up is kept, when nobody catches up any more, for this many further revisions.
pub const RECENT_REVISIONS_MAX: i64 = 1_000;

/// Ring events looked at in one catch-up step.
pub const SCAN_EVENTS_MAX: usize = 8 << 10;

/// Catch-up steps without anything to send in one poll of a stream.
pub const CATCH_UP_STEPS_MAX: usize = 4;

/// Events matched in one call of `drain_inbox`.
pub const DRAIN_EVENTS_MAX: usize = 4 << 10;

/// Control responses (created, cancelled, progress) a stream may owe before requests are to be read no further.
pub const CONTROL_QUEUE_MAX: usize = 1 << 10;

/// Future starts a stream may remember beyond the number of its watchers before it looks which were reached.
pub const FUTURE_SLACK: usize = 64;

/// Distinct response bodies remembered per range.
pub const BODY_CACHE_MAX: usize = 4;

const _: () = assert!(COPY_BYTES_MAX <= CHUNK_BYTES_MIN && CHUNK_BYTES_MIN <= CHUNK_BYTES_MAX);
const _: () = assert!(RESPONSE_BYTES_MAX < MESSAGE_BYTES_MAX);
const _: () = assert!(HISTORY_REVISIONS_MAX > 0 && HISTORY_BYTES_MAX > 0);
const _: () = assert!(PENDING_PER_GROUP_MAX > 1 && DRAIN_EVENTS_MAX > 0 && SCAN_EVENTS_MAX > 0);
