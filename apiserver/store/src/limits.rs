//! Every limit and deadline of this crate, in one place.

use std::time::Duration;

/// Establishing a connection to one endpoint, TLS included.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// One call, over all endpoints that are tried for it, unless the caller's configuration says otherwise.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// One attempt of a read at one endpoint, so that a hanging member does not use up the whole deadline.
pub const READ_ATTEMPT_DEADLINE: Duration = Duration::from_secs(4);
/// HTTP/2 pings on a silent connection; etcd refuses clients that ping more often than every 5 s.
pub const PING_INTERVAL: Duration = Duration::from_secs(10);
/// A connection whose ping stays unanswered this long is closed.
pub const PING_DEADLINE: Duration = Duration::from_secs(5);
/// Largest answer accepted. A page of objects of etcd's largest size must fit at the smallest page size.
pub const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Largest request sent; etcd refuses more than 1.5 MiB unless told otherwise.
pub const REQUEST_BYTES_MAX: usize = 64 << 20;
/// HTTP/2 window of one stream.
pub const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// HTTP/2 window of one connection.
pub const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Keys of the first page of a full list.
pub const PAGE_KEYS_FIRST: i64 = 500;
/// Fewest keys of a page.
pub const PAGE_KEYS_MIN: i64 = 16;
/// Most keys of a page.
pub const PAGE_KEYS_MAX: i64 = 10_000;
/// Size that pages of a full list aim at.
pub const PAGE_BYTES_AIM: usize = 4 << 20;

/// A lease for expiring objects is shared for at most this long after it was granted,
pub const LEASE_REUSE_MAX: Duration = Duration::from_secs(60);
/// and for at most this part of its own time to live, in percent,
pub const LEASE_REUSE_PERCENT: u32 = 5;
/// and by at most this many objects.
pub const LEASE_OBJECTS_MAX: u32 = 1_000;
/// How often old revisions are compacted away: what changed within the last interval can always be resumed.
pub const COMPACT_INTERVAL: Duration = Duration::from_secs(300);
/// Times to live a lease pool remembers a lease for.
pub const LEASE_BUCKETS_MAX: usize = 64;

/// First pause before a lost watch is opened again; it doubles with every failure.
pub const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(20);
/// Longest pause before a lost watch is opened again.
pub const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);
/// A watch that has not been confirmed after this long is opened elsewhere.
pub const WATCH_CREATE_DEADLINE: Duration = Duration::from_secs(5);
/// Messages a watch reads ahead of its consumer. A message holds one fragment, at most about 1.5 MiB.
pub const WATCH_BUFFER_MESSAGES: usize = 16;
/// Events of one revision that arrive in fragments are held until they are complete, up to this size.
pub const FRAGMENTS_BYTES_MAX: usize = 256 << 20;

/// A new cache begins this many revisions in the past, so that watches resume across a restart of its process.
pub const HISTORY_REVISIONS: i64 = 10_000;
/// How often a beginning in the past is tried, when compaction is faster.
pub const HISTORY_ATTEMPTS_MAX: usize = 3;
/// A cache that has not come from there to the present by then begins with the present.
pub const CATCH_UP_DEADLINE: Duration = Duration::from_secs(10);
/// How often an idle cache asks the store for progress, so that bookmarks advance.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(20);
/// The last bookmark of a watch comes this long before its end: upstream's time.
pub const LAST_BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// How often progress is asked for again while a consistent read waits for it.
pub const PROGRESS_RETRY: Duration = Duration::from_millis(50);
/// How long a consistent read waits for the cache before it reads from the store itself.
pub const CONSISTENT_WAIT_MAX: Duration = Duration::from_secs(3);
/// How long a read of a revision that lies in the future waits for it (kube-apiserver's blockTimeout).
pub const FUTURE_WAIT_MAX: Duration = Duration::from_secs(3);

/// Most objects of one leaf of the object list.
pub const LEAF_OBJECTS_MAX: usize = 256;
/// Neighbouring leaves with together fewer objects are joined.
pub const LEAF_OBJECTS_JOIN: usize = 64;
/// Events a watcher takes at once; a whole revision is never cut.
pub const BATCH_EVENTS_MAX: usize = 128;
/// Objects of the initial state a watcher takes at once.
pub const BATCH_OBJECTS_MAX: usize = 256;
/// Representations of one event that are kept; more are encoded again for every watcher.
pub const REPRESENTATIONS_MAX: usize = 32;
/// Views of past revisions kept for the pages of lists that are under way.
pub const PAST_VIEWS_MAX: usize = 8;
/// How long such a view is kept after it was used.
pub const PAST_VIEW_KEEP: Duration = Duration::from_secs(60);
/// What an event costs beside the bytes of its object and of its frames.
pub const EVENT_OVERHEAD_BYTES: usize = 512;

const _: () = assert!(LEAF_OBJECTS_JOIN < LEAF_OBJECTS_MAX / 2);
const _: () = assert!(PAGE_KEYS_MIN < PAGE_KEYS_FIRST && PAGE_KEYS_FIRST < PAGE_KEYS_MAX);
