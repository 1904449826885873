//! Every limit and deadline of this crate, in one place.

use std::time::Duration;

/// Seconds that others may keep what is said of the cluster; CoreDNS' default.
pub const TTL: u32 = 5;

/// Bytes of the longest domain of a cluster, so that there is room for the names of services below it.
pub const DOMAIN_MAX: usize = 100;

/// Largest answer over UDP, in bytes, however large a client says it may be: fits every path without fragments.
pub const UDP_ANSWER_MAX: u16 = 1_232;
/// Largest answer over UDP to a client that does not say how large it may be (RFC 1035).
pub const UDP_ANSWER_PLAIN: u16 = 512;
/// Largest question over UDP that is read, in bytes.
pub const UDP_QUESTION_MAX: usize = 4_096;
/// Questions that the kernel keeps for one socket, in bytes.
pub const UDP_WAITING_BYTES: usize = 1 << 20;
/// Sockets, each with a task of its own, that share one address.
pub const UDP_WORKERS_MAX: usize = 8;
/// Questions a task answers before others get their turn.
pub const UDP_TURN: usize = 64;

/// Connections at a time over TCP.
pub const TCP_CONNECTIONS_MAX: usize = 1_024;
/// Questions of one connection that are worked on at a time.
pub const TCP_QUESTIONS_MAX: usize = 16;
/// A connection without a question for this long is closed; CoreDNS'.
pub const TCP_IDLE_MAX: Duration = Duration::from_secs(10);
/// Time for a client to take an answer.
pub const TCP_WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest chain of aliases that is followed.
pub const ALIASES_MAX: usize = 8;

/// Questions to other servers at a time; CoreDNS' usual setting.
pub const FORWARDS_MAX: usize = 1_000;
/// Other servers at most.
pub const UPSTREAMS_MAX: usize = 15;
/// Time for one other server to answer,
pub const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(2);
/// and for all attempts together.
pub const FORWARD_TIMEOUT: Duration = Duration::from_secs(5);
/// Failures in a row after which a server is not asked any more, until it answers a check.
pub const FAILURES_MAX: u32 = 2;
/// Between two checks of a server that failed.
pub const CHECK_PAUSE: Duration = Duration::from_millis(500);
/// Time for a server to answer a check.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// Answers that were not asked for, to one question, before it is given up: somebody is guessing.
pub const STRANGE_ANSWERS_MAX: usize = 100;
/// How long a probe for loops is waited for; and between two probes of a server that loops.
pub const PROBE_EVERY: Duration = Duration::from_secs(30);

/// Answers of other servers that are kept, with names that exist and with those that do not; CoreDNS'.
pub const CACHE_ENTRIES_MAX: usize = 9_984;
/// Parts of the cache, each with a lock of its own.
pub const CACHE_PARTS: usize = 16;
/// Records of the largest answer that is kept.
pub const CACHE_RECORDS_MAX: usize = 512;

/// Connections at a time of who looks at pages,
pub const PAGE_CONNECTIONS_MAX: usize = 64;
/// and time for the head of a request.
pub const PAGE_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time for which an ending server goes on answering.
pub const LAMEDUCK_MAX: Duration = Duration::from_secs(8);
/// Time for questions under way after that.
pub const DRAIN_TIMEOUT: Duration = Duration::from_millis(1_500);
