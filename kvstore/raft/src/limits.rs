//! Every limit of this crate, in one place.

use std::time::Duration;

/// Largest frame a peer may send (bytes). One append request holds at most [`APPEND_BYTES_MAX`] of
/// entries, or a single entry of at most the request limit.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// Bytes of entries put into one append request.
pub const APPEND_BYTES_MAX: usize = 4 << 20;

/// Append requests in flight per follower: one on the wire while one is being written to disk, and
/// one of each to spare. Deeper pipelines leave less to batch (hashicorp/raft#541).
pub const APPEND_PIPELINE_DEPTH: usize = 4;

/// Frames queued for one peer connection before senders wait.
pub const PEER_QUEUE_FRAMES_MAX: usize = 1024;

/// Entries read at once when applying.
pub const APPLY_READ_BYTES_MAX: usize = 8 << 20;

/// Commands that go into one engine batch.
pub const APPLY_BATCH_ENTRIES_MAX: usize = 4096;

/// Bytes of commands that go into one engine batch.
pub const APPLY_BATCH_BYTES_MAX: usize = 8 << 20;

/// Requests accepted by this member and not yet answered. Above it: "too many requests".
pub const PENDING_PROPOSALS_MAX: usize = 50_000;

/// Bytes of one piece of a snapshot file on the wire.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1 << 20;

/// Files one snapshot may have; a peer that announces more is refused.
pub const SNAPSHOT_FILES_MAX: usize = 100_000;

/// A snapshot that makes no progress for this long is given up.
pub const SNAPSHOT_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A snapshot is given up so long after the peer's heartbeats needed a new connection: the peer was started
/// anew and knows nothing of the transfer, whose connection may look alive for ever after a power loss.
pub const SNAPSHOT_ORPHAN_TIMEOUT: Duration = Duration::from_secs(3);

/// Whole time one snapshot may take, from the first byte to installed.
pub const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// etcd's default of `--snapshot-count`, which stands for [`SNAPSHOT_ENTRIES`] here.
pub const SNAPSHOT_COUNT_ETCD: u64 = 10_000;

/// Log entries between two snapshots of the state machine, unless the user chose another number.
pub const SNAPSHOT_ENTRIES: u64 = 100_000;

/// Log bytes between two snapshots of the state machine; bounds what a restart replays and what
/// the log keeps when entries are large.
pub const SNAPSHOT_LOG_BYTES: u64 = 256 << 20;

/// Entries kept in the log behind a snapshot so that a briefly absent follower catches up without one.
pub const LOG_KEEP_ENTRIES: u64 = 50_000;

/// A learner may be promoted when it has 90 % of the leader's log (etcd's rule) and is at most this many
/// entries behind.
pub const PROMOTE_LAG_ENTRIES_MAX: u64 = 1_000;

/// A leader whose log write is older than this hands leadership over.
pub const DISK_STALL_HANDOVER: Duration = Duration::from_secs(2);

/// Time without a leader after which a member greets the others anew, and again each time …
pub const LEADERLESS_ASK: Duration = Duration::from_secs(5);
/// … and what one of them has to answer.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one connection attempt to a peer may take.
pub const PEER_CONNECT_TIMEOUT: Duration = Duration::from_millis(1000);

/// Shortest pause between two connection attempts to the same peer.
pub const PEER_RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// How long a peer may take over its side of the handshake.
pub const PEER_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections from peers served at once.
pub const PEER_CONNECTIONS_MAX: usize = 256;

/// Leases revoked by one pass of the expiry loop.
pub const LEASE_EXPIRE_BATCH: usize = 1000;

/// Leases written into one checkpoint command.
pub const LEASE_CHECKPOINT_BATCH: usize = 1000;

/// Period of the lease expiry loop.
pub const LEASE_TICK: Duration = Duration::from_millis(200);

/// Alarms kept at once; more are not recorded. Far above one of each type for every member.
pub const ALARMS_MAX: usize = 1024;

/// Members a cluster may have.
pub const MEMBERS_MAX: usize = 64;

/// How often a member looks how much room its disks have …
pub const ROOM_TICK: Duration = Duration::from_millis(250);
/// … and how often while there is too little.
pub const ROOM_TICK_LOW: Duration = Duration::from_millis(50);

/// With less free room than this share of the disk, within the bounds below, new data is refused: what
/// remains is for the log, for flushing what is in memory and for the compactions that give room back.
pub const ROOM_LOW_SHARE: u64 = 8;
pub const ROOM_LOW_BYTES_MIN: u64 = 16 << 20;
pub const ROOM_LOW_BYTES_MAX: u64 = 2 << 30;
/// New data is taken again with half as much room more, in halves of the low mark.
pub const ROOM_ENOUGH_FACTOR: u64 = 3;
/// Deleting takes room, too, until history is compacted. It is refused when this many quarters of the low mark
/// are left, which is what merging tables may take …
pub const COMPACTING_QUARTERS: u64 = 3;
/// … lets at most this share of what lies above that in at once …
pub const SPARE_SHARE: u64 = 4;
/// … and never more than this, which bounds what is read to find out.
pub const SPARE_BYTES_MAX: u64 = 64 << 20;
/// The reserve is given up below this share of the low mark.
pub const CRITICAL_SHARE: u64 = 4;
/// Size of the reserve as a share of the low mark, and at most.
pub const BALLAST_SHARE: u64 = 2;
pub const BALLAST_BYTES_MAX: u64 = 768 << 20;

/// How often work that a full disk stopped is tried again.
pub const FULL_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// The same for work that flushing and merging must catch up with.
pub const STALL_RETRY_PAUSE: Duration = Duration::from_millis(1);

/// How often a member whose disk is nearly full tries to shrink its log and drop history.
pub const SHRINK_INTERVAL: Duration = Duration::from_secs(2);

/// Bytes of the log kept on disk beside what a snapshot makes superfluous …
pub const LOG_KEEP_BYTES: u64 = 1 << 30;
/// … and at most this share of the disk; snapshots come that often, too.
pub const LOG_KEEP_SHARE: u64 = 8;

/// Bytes of proposals that a leader has taken and that are not decided yet; more are refused …
pub const UNDECIDED_BYTES_MAX: usize = 128 << 20;
/// … and on a small disk, whose log must hold them, this share of its low mark.
pub const UNDECIDED_SHARE: u64 = 2;

const _: () = assert!(CRITICAL_SHARE > BALLAST_SHARE && BALLAST_SHARE > 1);
const _: () = assert!(ROOM_LOW_BYTES_MAX / CRITICAL_SHARE < BALLAST_BYTES_MAX);
const _: () = assert!(ROOM_ENOUGH_FACTOR > 2);
/// Longest description of damage that is kept (bytes).
pub const DAMAGE_TEXT_BYTES_MAX: usize = 1024;

/// How long a damaged member waits for one peer's answer before it asks another: a membership change takes
/// as long as any request.
pub const REPAIR_ASK_TIMEOUT: Duration = Duration::from_secs(20);

/// Changes one request for repair may need: note, out, back, and as much again where somebody else interfered.
pub const REPAIR_STEPS_MAX: usize = 8;

/// How long one member may take to hash its data for a comparison.
pub const COMPARE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a member that is asked for a revision it has not applied yet waits for it.
pub const COMPARE_CATCH_UP: Duration = Duration::from_secs(5);

/// A comparison is followed by a rest of so many times its own length at least: hashing reads everything.
pub const COMPARE_REST_FACTOR: u32 = 100;

/// Bytes read per second while looking for damage.
pub const SCRUB_BYTES_PER_SECOND: u64 = 64 << 20;

/// How soon it is noted what a new file holds.
pub const SCRUB_NEW_INTERVAL: Duration = Duration::from_secs(5);

const _: () = assert!(APPEND_BYTES_MAX * 2 <= FRAME_BYTES_MAX);
const _: () = assert!(SNAPSHOT_CHUNK_BYTES < FRAME_BYTES_MAX);
