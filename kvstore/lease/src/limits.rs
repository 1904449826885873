//! Every limit and period of this crate.

/// The longest TTL that can be granted, in seconds; etcd's limit.
pub const TTL_MAX_S: i64 = 9_000_000_000;

/// A checkpoint is due once the recorded remaining time exceeds the true one by this much at least…
pub const CHECKPOINT_MIN_MS: u64 = 1_000;

/// …and by this fraction of the granted TTL at least (one tenth).
pub const CHECKPOINT_TTL_DIVISOR: u64 = 10;

/// An expired lease that was handed out and not revoked meanwhile is handed out again after this time.
pub const EXPIRY_RETRY_MS: u64 = 3_000;

/// A checkpoint that was handed out and not applied meanwhile is handed out again after this time.
pub const CHECKPOINT_RETRY_MS: u64 = 3_000;

const _: () = assert!(CHECKPOINT_MIN_MS > 0 && CHECKPOINT_TTL_DIVISOR > 0);
const _: () = assert!(EXPIRY_RETRY_MS > 0 && CHECKPOINT_RETRY_MS > 0);
