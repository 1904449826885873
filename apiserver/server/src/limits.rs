//! Every limit of this crate.

use std::time::Duration;

/// Requests at a time, by default those of upstream.
pub(crate) const READS_INFLIGHT_MAX: usize = 400;
pub(crate) const WRITES_INFLIGHT_MAX: usize = 200;

/// Bytes of a request's body: upstream's limit.
pub(crate) const BODY_BYTES_MAX: usize = 3 << 20;

/// Bytes of a body that nobody reads, for which a connection is kept: Go's number, which upstream has.
pub(crate) const UNREAD_BYTES_KEPT_ALIVE_MAX: u64 = 256 << 10;
/// Bytes of such a body that are read before the connection closes, so that the client has time to find the answer.
pub(crate) const UNREAD_BYTES_MAX: u64 = 8 << 20;
const _: () = assert!(UNREAD_BYTES_MAX > UNREAD_BYTES_KEPT_ALIVE_MAX);
/// Time for that.
pub(crate) const UNREAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How often files of certificates are looked at.
pub(crate) const TLS_FILES_EVERY: Duration = Duration::from_secs(5);
/// How often the published authorities of clients are looked at.
pub(crate) const TRUST_EVERY: Duration = Duration::from_secs(60);
/// Time for a TLS handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the head of an HTTP/1 request.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(32);
/// Streams of an HTTP/2 connection at a time: upstream's number. A client that watches more opens connections.
pub(crate) const STREAMS_MAX: u32 = 1000;
/// Bytes on their way in one HTTP/2 stream.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Bytes of a WebSocket message from a client of a watch, which has nothing to say.
pub(crate) const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Time for a WebSocket's client to take what is sent.
pub(crate) const WEBSOCKET_WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that running requests have when the server ends.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(60);

/// Seconds after which a refused request may be tried again.
pub(crate) const RETRY_AFTER_SECONDS: u32 = 1;

/// Attempts of a write that others get in the way of, each from the then current object.
pub(crate) const CONFLICT_ATTEMPTS_MAX: usize = 5;
/// Secrets of which a server remembers that the use of their tokens was noted.
pub(crate) const LEGACY_USES_MAX: usize = 10_000;
/// Attempts of an eviction that others get in the way of, and the pause between two: upstream's numbers.
pub(crate) const EVICTION_ATTEMPTS_MAX: usize = 20;
pub(crate) const EVICTION_PAUSE: Duration = Duration::from_millis(500);
/// Seconds after which an eviction may be tried again that a budget has not been counted for.
pub(crate) const EVICTION_RETRY_SECONDS: u32 = 10;
/// Pods that a budget waits for at most, their eviction having been agreed to.
pub(crate) const DISRUPTED_PODS_MAX: usize = 2_000;
/// Attempts with other random names when one is taken: upstream's number.
pub(crate) const GENERATE_NAME_ATTEMPTS_MAX: usize = 8;

/// Bytes of JSON of objects that are kept as values, in each of two generations. As a value an object takes about six
/// times as much.
pub(crate) const PARSED_BYTES_MAX: usize = 2 << 20;
/// Bytes of an object beyond which its value is not kept.
pub(crate) const PARSED_OBJECT_BYTES_MAX: usize = 64 << 10;

/// Series of request metrics: more than there are verbs of all resources.
pub(crate) const METRIC_SERIES_MAX: usize = 4_000;

/// Bytes of a list that are joined before they are sent.
pub(crate) const LIST_CHUNK_BYTES: usize = 64 << 10;

/// Port of a kubelet that does not tell its own: upstream's number.
pub(crate) const KUBELET_PORT: u16 = 10_250;
/// Time for a connection to a kubelet and once more for its handshake, by default: upstream's number.
pub(crate) const KUBELET_TIMEOUT: &str = "5s";
/// The same for pods: the number of Go's dialer.
pub(crate) const POD_DIAL_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle connections to a kubelet or pod that are kept, and for how long.
pub(crate) const BACKEND_IDLE_EACH_MAX: usize = 25;
pub(crate) const BACKEND_IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Requests that are passed on at a time: logs, commands, forwarded ports and proxies. Each takes two connections.
pub(crate) const PASSED_ON_MAX: usize = 4_000;
/// Time for an answer to a wish for another protocol. A kubelet asks its runtime meanwhile, which it gives two minutes.
pub(crate) const UPGRADE_TIMEOUT: Duration = Duration::from_secs(150);
/// Time without a byte in either direction after which a connection with another protocol is ended: upstream's number.
pub(crate) const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(4 * 60 * 60);
/// Time for the last bytes of a stream to leave.
pub(crate) const STREAM_END_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a WebSocket's client to confirm its end.
pub(crate) const STREAM_LINGER: Duration = Duration::from_secs(1);
/// Time for a container's streams to be accepted: upstream's number.
pub(crate) const STREAM_OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two signs of life to a kubelet: upstream's number.
pub(crate) const STREAM_PING_EVERY: Duration = Duration::from_secs(5);
/// Bytes that are moved at once.
pub(crate) const STREAM_CHUNK_BYTES: usize = 32 << 10;
/// Bytes of a message from the client of a command or a forwarded port: upstream's number.
pub(crate) const STREAM_MESSAGE_BYTES_MAX: usize = 32 << 20;
/// Pieces of input on their way to a kubelet.
pub(crate) const STREAM_PIECES_MAX: usize = 2;
/// Answers to a kubelet's signs of life that wait; more are left out.
pub(crate) const STREAM_PONGS_MAX: usize = 8;
/// Bytes of the status that a command ends with.
pub(crate) const COMMAND_STATUS_BYTES_MAX: usize = 1 << 20;
/// Bytes of a failure that a kubelet tells: upstream's number.
pub(crate) const KUBELET_FAILURE_BYTES_MAX: usize = 50_000;
/// Bytes of what another component says of its health.
pub(crate) const COMPONENT_PAGE_BYTES_MAX: usize = 16 << 10;
/// Bytes of a tag in a page that is passed on, beyond which it is passed on as it is.
pub(crate) const TAG_BYTES_MAX: usize = 64 << 10;
