//! Every limit of this crate that is not a flag, with its unit in its name.

use std::time::Duration;

/// Streams one connection may have open when `--max-concurrent-streams` says more.
pub(crate) const STREAMS_PER_CONNECTION_MAX: u32 = 131_072;
/// Calls one connection may have running before nothing more is read from it.
pub(crate) const CALLS_PER_CONNECTION_MAX: usize = 150_000;
/// Bytes read from a socket at once; the buffer is shared by all connections of a thread.
pub(crate) const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Reads and writes of one connection in a row before the others of its thread get their turn.
pub(crate) const ROUNDS_PER_WAKE_MAX: usize = 16;
/// Time a client has to finish the TLS handshake.
pub(crate) const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time a client has to send its first bytes.
pub(crate) const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(30);
/// Accepted sockets waiting for their thread.
pub(crate) const ACCEPTED_QUEUE: usize = 1024;
/// What a request may be larger than `--max-request-bytes`, as in etcd.
pub(crate) const REQUEST_OVERHEAD_BYTES: usize = 512 * 1024;
/// Pause after `accept` failed for lack of file descriptors or memory.
pub(crate) const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Time running calls get to finish at shutdown before their connections are cut.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);
/// Time after which the process exits whatever has not stopped.
pub(crate) const EXIT_TIMEOUT: Duration = Duration::from_millis(1400);
/// How long the end waits for the consensus threads' last tasks: less than is left of that time.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Header bytes of one HTTP/1 request.
pub(crate) const HTTP1_HEADER_BYTES_MAX: usize = 64 * 1024;
/// Threads per runtime for reads that may take long.
pub(crate) const BLOCKING_THREADS_MAX: usize = 4;

/// Pause between two rounds of asking the peers for repair.
pub(crate) const REPAIR_PAUSE: Duration = Duration::from_millis(500);
