//! Every deadline, size and count of this crate.

use std::time::Duration;

/// Runs that may exist on one machine at a time; also the third byte of their addresses.
pub const RUNS_MAX: u8 = 64;
/// Members of one run.
pub const MEMBERS_MAX: usize = 16;
/// A helper program such as `ip`, `nft` or `umount`.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(20);
/// Characters of a failed program's complaint that are kept.
pub const STDERR_CHARS_MAX: usize = 2_000;
/// Between two looks at a condition.
pub const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// A signal's visible effect in `/proc`.
pub const SIGNAL_DEADLINE: Duration = Duration::from_secs(5);
/// A file system that is still busy because its users are just ending.
pub const UNMOUNT_DEADLINE: Duration = Duration::from_secs(10);
/// A disk to be full, or to have room again: what is deleted becomes free with the next commit.
pub const SPACE_DEADLINE: Duration = Duration::from_secs(5);
/// The block daemon's start and each of its answers.
pub const DAEMON_DEADLINE: Duration = Duration::from_secs(10);
/// Largest answer of the block daemon.
pub const DAEMON_ANSWER_BYTES_MAX: usize = 1 << 20;
/// One connection attempt or request of a readiness probe.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(1);
/// A clock's jump to show: a cached `Date` is renewed every second.
pub const CLOCK_DEADLINE: Duration = Duration::from_secs(5);
/// Largest answer that a readiness probe or a clock reading takes.
pub const PROBE_BYTES_MAX: u64 = 1 << 20;
/// Longest line of a log file that is looked at; the rest of the line is skipped.
pub const LOG_LINE_BYTES_MAX: usize = 64 << 10;
/// Characters of such a line that are kept.
pub const FINDING_CHARS_MAX: usize = 500;
/// Findings kept of one log file; more are only counted.
pub const LOG_FINDINGS_MAX: usize = 200;
/// Smallest disk image: below it ext4 leaves no room for a journal.
pub const DISK_BYTES_MIN: u64 = 16 << 20;
/// Largest disk image; images are sparse.
pub const DISK_BYTES_MAX: u64 = 16 << 30;
/// What a proxy reads at once.
pub const PROXY_CHUNK_BYTES: usize = 16 << 10;
/// Chunks that one direction of a proxied connection holds back; then the sender is stopped.
pub const PROXY_CHUNKS_MAX: usize = 64;
/// Connections through one proxy; more are refused.
pub const PROXY_CONNECTIONS_MAX: usize = 1_024;
/// The proxy's own connection to its target.
pub const PROXY_CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// How long a proxy looks for the process that a loopback connection belongs to.
pub const PROXY_IDENTIFY_DEADLINE: Duration = Duration::from_secs(1);
/// A proxy's answer to a change of its rules.
pub const PROXY_ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// Files looked at in one data directory.
pub const FILES_MAX: usize = 100_000;
/// Bytes of a deleted or truncated file that are kept to restore it.
pub const UNDO_BYTES_MAX: u64 = 256 << 20;
