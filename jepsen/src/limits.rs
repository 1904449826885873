//! Every deadline, size and count of the harness, in one place.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Cluster sizes the harness builds.
pub const MEMBERS: [usize; 3] = [1, 3, 5];
/// Longest fault phase of one run.
pub const RUN_TIME_MAX: Duration = Duration::from_secs(6 * 3600);
/// Shortest fault phase: below it no nemesis strikes even once.
pub const RUN_TIME_MIN: Duration = Duration::from_secs(3);
/// Highest total rate that may be asked for, operations per second.
pub const RATE_MAX: u32 = 100_000;
/// Client deadlines that may be asked for, milliseconds.
pub const CLIENT_DEADLINE_MS: RangeInclusive<u64> = 200..=30_000;
/// Clients of one member that a run may have.
pub const CLIENTS_PER_MEMBER_MAX: usize = 64;
/// Nemeses that may act in one run.
pub const NEMESES_MAX: usize = 8;

/// From the start of a cluster to the first answer of every member.
pub const READY_DEADLINE: Duration = Duration::from_secs(60);
/// Load without faults before the first one.
pub const WARM_TIME: Duration = Duration::from_secs(2);
/// Load after everything has been healed, before the final reads.
pub const COOL_TIME: Duration = Duration::from_secs(2);
/// From the end of the faults until every member answers a linearizable read again.
pub const QUIESCE_DEADLINE: Duration = Duration::from_secs(90);
/// Until all leases that nobody renews are gone: the longest TTL of the workloads, twice, and some elections.
pub const LEASES_GONE_DEADLINE: Duration = Duration::from_secs(60);
/// Until watchers have seen the last revision.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(30);
/// Until the members agree on revision and hash.
pub const FACTS_DEADLINE: Duration = Duration::from_secs(60);
/// One strike or one healing of a nemesis, whatever it waits for.
pub const STRIKE_DEADLINE: Duration = Duration::from_secs(60);
/// Setting up or tearing down networks and disks.
pub const PREPARE_DEADLINE: Duration = Duration::from_secs(60);
/// What a run may take beyond its fault phase; above all other deadlines together.
pub const RUN_SLACK: Duration = Duration::from_secs(420);
/// The checkers of one run.
pub const JUDGE_DEADLINE: Duration = Duration::from_secs(300);
/// Searches of the black-box checker, over all keys of one run.
pub const SEARCH_TIME: Duration = Duration::from_secs(10);
/// Runs of one series that goes on until enough has happened.
pub const SERIES_RUNS_MAX: usize = 40;
/// A clean shutdown after SIGTERM; then SIGKILL.
pub const EXIT_DEADLINE: Duration = Duration::from_secs(10);

/// One call that looks after the cluster rather than tests it.
pub const PROBE_DEADLINE: Duration = Duration::from_millis(1_000);
/// Between two looks at the members' statuses.
pub const STATUS_INTERVAL: Duration = Duration::from_millis(100);
/// Between two probes of a condition.
pub const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Between two lines of live progress.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// After an operation without a definite success, so that a dead member is not hammered.
pub const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);

/// A member's own disk; images are sparse.
pub const DISK_BYTES: u64 = 1 << 30;
/// A member's own disk that is to be filled.
pub const SMALL_DISK_BYTES: u64 = 512 << 20;
/// Until a process whose disk answers EIO has ended by itself; then it is killed, and that is written down.
pub const EIO_EXIT_DEADLINE: Duration = Duration::from_secs(5);
/// Files that are tried before a member counts as one without files to damage.
pub const DAMAGE_FILES_TRIED_MAX: usize = 10;
/// Records waiting for the disk before clients are made to wait.
pub const RECORDS_BUFFERED: usize = 16_384;
/// Bytes of a subject's log that are scanned and kept per member; what lies beyond is reported as such.
pub const LOG_BYTES_MAX: u64 = 64 << 20;
/// Events of one watch answer; more end the stream with an error.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Anomalies shown in full on a report page; the rest is counted.
pub const ANOMALIES_SHOWN: usize = 20;
/// Points of the latency plot; longer runs are thinned out evenly.
pub const PLOT_POINTS_MAX: usize = 6_000;
/// Runs listed on the index page, newest first.
pub const INDEX_RUNS_MAX: usize = 2_000;
/// Uses of one list before a new one takes its place.
pub const APPENDS_PER_KEY: u64 = 100;
/// Uses of one register before a new one takes its place.
pub const REGISTER_OPS_PER_KEY: u64 = 200;
/// Elements of one set before a new one takes its place.
pub const SET_ELEMENTS: u64 = 200;
/// Times an optimistic update is tried again after it has definitely lost a race.
pub const RACES_MAX: usize = 5;

/// Apiservers that stand side by side.
pub const API_SERVERS: RangeInclusive<usize> = 1..=5;
/// From the start of an apiserver until it is ready.
pub const API_READY_DEADLINE: Duration = Duration::from_secs(60);
/// An orderly end of an apiserver: its requests end, its watches are told to.
pub const API_EXIT_DEADLINE: Duration = Duration::from_secs(20);
/// Opening a connection to an apiserver.
pub const API_CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// Bytes of one answer.
pub const API_ANSWER_BYTES_MAX: usize = 64 << 20;
/// Bytes of one frame of a watch.
pub const API_FRAME_BYTES_MAX: usize = 8 << 20;
/// Between two compactions of the store below apiservers.
pub const API_COMPACTION_INTERVAL: Duration = Duration::from_millis(200);
/// Each of the last writes.
pub const API_LAST_WRITES_DEADLINE: Duration = Duration::from_secs(30);
/// What a watch may last beyond the time it asked for before it counts as dead.
pub const WATCH_SILENCE: Duration = Duration::from_secs(4);
/// Events of one watch that are kept before it is ended and recorded.
pub const INFORMER_EVENTS_MAX: usize = 100_000;
/// How long a member may say nothing to the witness, which asks for progress twice a second.
pub const WITNESS_SILENCE: Duration = Duration::from_secs(3);

const _: () = assert!(WARM_TIME.as_secs() < RUN_TIME_MIN.as_secs());
