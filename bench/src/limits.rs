//! Every bound of this crate in one place.

use std::time::Duration;

/// Most bytes read from a socket by one system call; shared by all connections of a fleet.
pub(crate) const READ_BYTES: usize = 256 * 1024;
/// The largest frame payload we accept; the default of RFC 9113, never raised by our SETTINGS.
pub(crate) const FRAME_BYTES_MAX: usize = 16 * 1024;
/// The largest header block accepted over HEADERS and its CONTINUATION frames.
pub(crate) const HEADER_BLOCK_BYTES_MAX: usize = 64 * 1024;
/// The largest gRPC message accepted.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Receive window announced for every stream.
pub(crate) const STREAM_WINDOW: u32 = 1024 * 1024;
/// Receive window kept for every connection.
pub(crate) const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// Request bytes that may wait in one connection for the server's flow control.
pub(crate) const BLOCKED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Requests of an open-loop writer that may be unanswered; what comes due above it is an error.
pub(crate) const OUTSTANDING_MAX: usize = 20_000;
/// A row is given up after this many errors: it would measure the error path.
pub(crate) const ERRORS_MAX: u64 = 10_000;
/// Distinct error texts kept per row.
pub(crate) const ERROR_TEXTS_MAX: usize = 16;

/// Connections opened before their handshakes are awaited; below every listen backlog.
pub(crate) const CONNECT_BATCH: usize = 128;
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the handshake of a batch of connections, or one set-up request.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// One request to an apiserver: a list of everything may take its time.
pub(crate) const API_CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// From the start of an apiserver to its first answer that it is ready.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// For all fake nodes to be registered.
pub(crate) const NODES_TIMEOUT: Duration = Duration::from_secs(300);
/// From one pod that is bound to the next, while some are waited for.
pub(crate) const BOUND_TIMEOUT: Duration = Duration::from_secs(60);
/// For a pod of a running cluster to run, or to be gone.
pub(crate) const POD_RUNS_TIMEOUT: Duration = Duration::from_secs(180);
/// Who reads and writes while pods are started at once.
pub(crate) const STACK_LOADERS: usize = 4;
/// Between two requests of one of them.
pub(crate) const STACK_LOAD_PAUSE: Duration = Duration::from_millis(20);
/// Services that are being created at a time.
pub(crate) const SERVICE_CREATES: usize = 16;
/// A proxy that has had nothing to do for so long writes the next change at once.
pub(crate) const SERVICE_QUIET: Duration = Duration::from_millis(1_500);
/// For a service to answer on a node.
pub(crate) const SERVICE_ANSWERS_TIMEOUT: Duration = Duration::from_secs(60);
/// For one attempt at it.
pub(crate) const SERVICE_TRY_TIMEOUT: Duration = Duration::from_millis(250);
/// Between two attempts: what is measured is no finer.
pub(crate) const SERVICE_TRY_PAUSE: Duration = Duration::from_millis(1);
/// The largest event of a watch that is looked at.
pub(crate) const EVENT_BYTES_MAX: usize = 1 << 20;
/// How much of an apiserver's answer is kept to look at.
pub(crate) const HEAD_KEPT_BYTES: usize = 4 * 1024;
/// For answers still missing when a window has ended; what is later counts as an error.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// For all watches of a row to be created.
pub(crate) const WATCH_CREATE_TIMEOUT: Duration = Duration::from_secs(60);
/// Watch creations that may be unanswered on one stream.
pub(crate) const WATCH_CREATE_WINDOW: usize = 256;
/// From the start of a server to its first healthy answer.
pub(crate) const HEALTH_TIMEOUT: Duration = Duration::from_secs(30);
/// One /health request.
pub(crate) const HEALTH_CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// For a healthy cluster to say who leads it.
pub(crate) const LEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts to start a cluster: somebody else may take a port between choice and use.
pub(crate) const START_ATTEMPTS: usize = 3;
/// A comparison is given up after this many servers that did not start.
pub(crate) const START_FAILURES_MAX: usize = 3;
/// The longest sleep of an event loop, so that an interrupt is seen.
pub(crate) const POLL_MAX: Duration = Duration::from_millis(50);
/// Time for memory figures to come to rest before RSS is read.
pub(crate) const SETTLE: Duration = Duration::from_millis(300);

/// Latencies are kept in nanoseconds between these bounds, with three significant digits.
pub(crate) const LATENCY_NS_MIN: u64 = 1_000;
pub(crate) const LATENCY_NS_MAX: u64 = 120_000_000_000;
pub(crate) const LATENCY_DIGITS: u8 = 3;

/// File descriptors a process uses besides its connections.
pub(crate) const FD_RESERVE: u64 = 256;
/// Above this share of one core the load generator may be what is measured; the row says so.
pub(crate) const CLIENT_BUSY_SHARE: f64 = 0.85;
/// Above this share of the time in which they could have run, servers were kept from it by others; the row says so.
pub(crate) const SERVER_STARVED_SHARE: f64 = 0.9;

const _: () = assert!(READ_BYTES > 2 * (FRAME_BYTES_MAX + 9));
const _: () = assert!(CONNECTION_WINDOW >= STREAM_WINDOW);
