//! Every limit and deadline of this crate, in one place.

use std::time::Duration;

/// Bytes of one answer; upstream's limit.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Until a connection to the socket stands.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// A call that does not say otherwise; upstream's `--runtime-request-timeout`.
pub const CALL_DEADLINE: Duration = Duration::from_secs(120);
