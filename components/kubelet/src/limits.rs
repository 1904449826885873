//! Every limit and deadline of this crate, in one place. Where nothing else is said they are upstream's defaults.

use std::time::Duration;

/// Pause before a container that ended is started again; doubled with each further end,
pub const RESTART_BACKOFF_MIN: Duration = Duration::from_secs(10);
/// up to this. A container that ran for twice this long starts from the beginning.
pub const RESTART_BACKOFF_MAX: Duration = Duration::from_secs(300);
/// Pause before an image is pulled again; doubled with each further failure,
pub const PULL_BACKOFF_MIN: Duration = Duration::from_secs(10);
/// up to this.
pub const PULL_BACKOFF_MAX: Duration = Duration::from_secs(300);
/// Grace of a pod that names none, in seconds.
pub const GRACE_SECONDS: i64 = 30;
/// Least grace that a container gets, in seconds: upstream's.
pub const GRACE_SECONDS_MIN: i64 = 2;

/// Servers in a pod's resolv.conf: what resolvers read.
pub const DNS_NAMESERVERS_MAX: usize = 3;
/// Domains in its search list,
pub const DNS_SEARCHES_MAX: usize = 32;
/// their length together with the blanks between them,
pub const DNS_SEARCH_BYTES_MAX: usize = 2048;
/// and the length of each.
pub const DNS_SEARCH_DOMAIN_BYTES_MAX: usize = 253;

/// A pod's volumes: until what they name is there, an attempt to mount them waits this long before it is told that it
/// failed; upstream's two minutes and three seconds.
pub const MOUNT_DEADLINE: Duration = Duration::from_secs(123);
/// Pause before a volume is tried again; doubled with each further failure,
pub const MOUNT_BACKOFF_MIN: Duration = Duration::from_millis(500);
/// up to this.
pub const MOUNT_BACKOFF_MAX: Duration = Duration::from_secs(122);
/// Between two looks at whether a pod's tokens have to be renewed, and at whether its files are what they shall be.
pub const VOLUMES_LOOK: Duration = Duration::from_secs(60);
/// Age at which a service account token is renewed, if four fifths of its life are not over before.
pub const TOKEN_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Seconds of life that a token is asked for where its volume names none.
pub const TOKEN_SECONDS: i64 = 3600;
/// Until an attempt to watch an object is made again; doubled with each further failure,
pub const OBJECT_PAUSE_MIN: Duration = Duration::from_millis(200);
/// up to this.
pub const OBJECT_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Objects that are watched at once, over all pods: 110 pods with some twenty each.
pub const OBJECTS_MAX: usize = 2500;
/// How long somebody who needs an object waits for the first answer about it.
pub const OBJECT_DEADLINE: Duration = Duration::from_secs(10);

/// Attempts to remove a pod's cgroup, in which a process may still be ending,
pub const CGROUP_ATTEMPTS: u32 = 20;
/// and the pause between two.
pub const CGROUP_PAUSE: Duration = Duration::from_millis(50);
/// Cgroups within a pod's. Deeper ones are a mistake or an attack.
pub const CGROUP_DEPTH_MAX: usize = 64;

/// Until a sandbox stands: its network may take long.
pub const SANDBOX_DEADLINE: Duration = Duration::from_secs(240);
/// Until an image is there.
pub const PULL_DEADLINE: Duration = Duration::from_secs(30 * 60);
/// What a call gets beyond the time that the runtime itself was told.
pub const EXEC_MARGIN: Duration = Duration::from_secs(5);
/// The same for a container to be gone after it was killed.
pub const STOP_MARGIN: Duration = Duration::from_secs(120);
/// For a hook after the start. Upstream sets no limit; it must end some time.
pub const HOOK_DEADLINE: Duration = Duration::from_secs(30 * 60);
/// For a hook's HTTP request.
pub const HOOK_HTTP_DEADLINE: Duration = Duration::from_secs(60);

/// Of an answer to a probe that is read,
pub const PROBE_BODY_BYTES_MAX: usize = 10 * 1024;
/// redirections that it follows,
pub const PROBE_REDIRECTS_MAX: usize = 10;
/// and what of a command's output is told.
pub const PROBE_OUTPUT_CHARS_MAX: usize = 1024;
/// Failed probes of a pod that wait to be told.
pub const PROBED_WAITING_MAX: usize = 16;

/// Of a container's termination log,
pub const LAST_WORDS_BYTES_MAX: usize = 4096;
/// of its log in place of it,
pub const LAST_WORDS_LOG_BYTES_MAX: usize = 2048;
/// and in lines.
pub const LAST_WORDS_LOG_LINES_MAX: usize = 80;
/// Files in a container's folder of logs that are looked at.
pub const LOG_FILES_LISTED_MAX: usize = 1000;

/// Between two looks at all that runs.
pub const RELIST_INTERVAL: Duration = Duration::from_secs(1);
/// A pod is looked at at least this often.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(60);
/// After a look at a pod failed.
pub const SYNC_RETRY: Duration = Duration::from_secs(10);
/// After ending a pod failed; doubled each time,
pub const END_RETRY_MIN: Duration = Duration::from_secs(1);
/// up to this.
pub const END_RETRY_MAX: Duration = Duration::from_secs(10);
/// Statuses that are written at a time.
pub const STATUS_WRITERS: usize = 4;
/// Files in the folder of static pods,
pub const STATIC_FILES_MAX: usize = 1000;
/// and bytes of each.
pub const STATIC_FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Until a server of static pods has answered; upstream's.
pub const STATIC_SERVER_DEADLINE: Duration = Duration::from_secs(10);
/// Its failures in a row that are told aloud.
pub const STATIC_SERVER_FAILURES_TOLD: u32 = 3;

/// Between two looks at how the node is,
pub const NODE_STATUS_INTERVAL: Duration = Duration::from_secs(10);
/// and between two reports while it stays the same.
pub const NODE_REPORT_INTERVAL: Duration = Duration::from_secs(300);
/// Images in a node's status.
pub const NODE_IMAGES_MAX: usize = 50;
/// A runtime that answered may say nothing for so long before its node is not ready; upstream's.
pub const RUNTIME_SILENCE_MAX: Duration = Duration::from_secs(30);
/// A runtime that has not said for so long what runs is not well.
pub const RELIST_PATIENCE: Duration = Duration::from_secs(180);
/// A node that has not been heard of for so long is lost, in seconds;
pub const LEASE_SECONDS: i32 = 40;
/// it is to be heard of this often,
pub const LEASE_INTERVAL: Duration = Duration::from_secs(10);
/// and this long after it could not be.
pub const LEASE_RETRY: Duration = Duration::from_secs(2);
/// Memory that pods do not get: below it upstream evicts.
pub const EVICTION_MEMORY_BYTES: u64 = 100 * 1024 * 1024;
/// The same of the disk, in percent.
pub const EVICTION_DISK_PERCENT: u64 = 10;

/// Between two looks at the folder of static pods; upstream looks every 20 s and is told of changes in between.
pub const STATIC_INTERVAL: Duration = Duration::from_secs(1);
/// Mirror pods are compared at least this often,
pub const MIRROR_INTERVAL: Duration = Duration::from_secs(60);
/// and this long after the apiserver could not be asked.
pub const MIRROR_RETRY: Duration = Duration::from_secs(2);
/// Connections to the kubelet's API at a time,
pub const API_CONNECTIONS_MAX: usize = 1000;
/// and streams of them that were handed to the runtime.
pub const STREAMS_MAX: usize = 500;
/// Until a client has finished its handshake.
pub const API_HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// A connection on which nothing is asked for so long is closed; upstream's.
pub const API_IDLE: Duration = Duration::from_secs(90);
/// After an accept that failed: most often too many files are open.
pub const API_ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Of a request's head; upstream's.
pub const API_HEADER_BYTES_MAX: usize = 1024 * 1024;
/// Until a client that says nothing is asked whether it is still there.
pub const API_KEEPALIVE: Duration = Duration::from_secs(30);
/// Until it is known whether a request is allowed.
pub const JUDGE_DEADLINE: Duration = Duration::from_secs(30);
/// For one question to the apiserver about it,
pub const REVIEW_DEADLINE: Duration = Duration::from_secs(10);
/// how often it is asked,
pub const REVIEW_ATTEMPTS: u32 = 5;
/// and the pause after the first failure; half as much again after each further one.
pub const REVIEW_PAUSE: Duration = Duration::from_millis(500);
/// Tokens whose users are remembered,
pub const TOKENS_REMEMBERED_MAX: usize = 1000;
/// and judgements.
pub const RIGHTS_REMEMBERED_MAX: usize = 4000;
/// Between two looks at the files of the serving certificate.
pub const SERVING_LOOK: Duration = Duration::from_secs(10);
/// Until the runtime's streaming server is connected to,
pub const RUNTIME_DIAL_DEADLINE: Duration = Duration::from_secs(10);
/// and until it has said whether it agrees.
pub const RUNTIME_UPGRADE_DEADLINE: Duration = Duration::from_secs(30);
/// Of what it says if it does not.
pub const RUNTIME_REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// Carried at a time, in each direction of a stream.
pub const RELAY_BUFFER_BYTES: usize = 32 * 1024;
/// Once one side of a stream has ended, the other may be silent for so long.
pub const RELAY_LINGER: Duration = Duration::from_secs(30);
/// For a command that is run to its end.
pub const RUN_DEADLINE: Duration = Duration::from_secs(120);
/// A line of a log file that is longer is left out.
pub const LOG_LINE_BYTES_MAX: usize = 1024 * 1024;
/// Read and answered of a log at a time,
pub const LOG_CHUNK_BYTES: usize = 32 * 1024;
/// and how many such parts wait for a slow reader.
pub const LOG_CHUNKS_WAITING_MAX: usize = 4;
/// Until a log that is followed is read again; doubled while nothing comes,
pub const LOG_PAUSE_MIN: Duration = Duration::from_millis(20);
/// up to this.
pub const LOG_PAUSE_MAX: Duration = Duration::from_millis(250);
/// Between two looks at whether the container of a log that is followed still runs.
pub const LOG_STATE_INTERVAL: Duration = Duration::from_secs(1);
/// Names in a folder of the node's own logs that are told.
pub const NODE_LOGS_LISTED_MAX: usize = 10_000;
/// Between two looks at what is used, so that there are rates; as cAdvisor's.
pub const STATS_INTERVAL: Duration = Duration::from_secs(10);
/// Sandboxes that the runtime is asked about at a time.
pub const STATS_QUESTIONS_MAX: usize = 8;
/// Connections to the page for health.
pub const HEALTH_CONNECTIONS_MAX: usize = 32;
/// Until a connection to it has asked.
pub const HEALTH_DEADLINE: Duration = Duration::from_secs(10);
/// Requests to the apiserver at a time.
pub const REQUESTS_MAX: usize = 64;
/// Until the runtime is asked again whether it is there.
pub const RUNTIME_RETRY: Duration = Duration::from_secs(1);
/// Between two looks for what pods left that went while no kubelet ran.
pub const CLEAN_INTERVAL: Duration = Duration::from_secs(10);

/// Between two looks at the logs of what runs,
pub const LOGS_INTERVAL: Duration = Duration::from_secs(10);
/// at containers that are over,
pub const CONTAINERS_INTERVAL: Duration = Duration::from_secs(60);
/// and at the disk of images.
pub const IMAGES_INTERVAL: Duration = Duration::from_secs(300);
/// Ended containers of a name that are kept for each pod.
pub const DEAD_CONTAINERS_MAX: usize = 1;
/// An image that was seen for less than this is not removed.
pub const IMAGE_AGE_MIN: Duration = Duration::from_secs(120);

/// How long somebody may take to sign a certificate; upstream's quarter of an hour.
pub const CERTIFICATE_PATIENCE: Duration = Duration::from_secs(900);
/// Pause before a certificate is asked for again; doubled with each further failure,
pub const CERTIFICATE_PAUSE_MIN: Duration = Duration::from_secs(2);
/// up to this.
pub const CERTIFICATE_PAUSE_MAX: Duration = Duration::from_secs(32);
/// A certificate that is due is kept for half of what is left of its life, but no longer than this: it may just have
/// been signed.
pub const CERTIFICATE_RENEWAL_PAUSE_MAX: Duration = Duration::from_secs(300);
/// Attempts to get a first certificate: with the pauses between them about a quarter of an hour.
pub const BOOTSTRAP_ATTEMPTS: u32 = 30;
/// Between two looks at the clock while a certificate is still good.
pub const CERTIFICATE_LOOK: Duration = Duration::from_secs(600);
