//! What a member is started with.

use std::path::PathBuf;
use std::time::Duration;

/// Configuration of one member. The server builds it from flags.
#[derive(Debug)]
pub struct NodeConfig {
    pub name: String,
    pub data_dir: PathBuf,
    /// The log's own folder; under `data_dir` when not given.
    pub wal_dir: Option<PathBuf>,
    pub member_id: u64,
    pub cluster_id: u64,
    /// Joined into the ids of members added later.
    pub cluster_token: String,
    /// The members a new cluster starts with, or the members of the cluster that is joined.
    pub initial_members: Vec<InitialMember>,
    pub join_existing: bool,
    pub advertise_client_urls: Vec<String>,
    pub heartbeat_ms: u64,
    pub election_ms: u64,
    pub pre_vote: bool,
    pub max_request_bytes: usize,
    pub quota_bytes: i64,
    pub snapshot_count: u64,
    pub max_learners: usize,
    /// One watch shard per serving thread.
    pub watch_shards: usize,
    /// How often the leader compares all members' data; `None` for never.
    pub compare_interval: Option<Duration>,
    /// How often everything on disk is read to find damage; `None` for never.
    pub scrub_interval: Option<Duration>,
    /// Never waits for the disk: loses acknowledged writes on power loss.
    pub unsafe_no_fsync: bool,
}

/// A member of the first configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialMember {
    pub id: u64,
    pub name: String,
    pub peer_urls: Vec<String>,
}

impl NodeConfig {
    /// The deadline of a write or linearizable read: etcd's 5 s plus two election timeouts.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(5000 + 2 * self.election_ms)
    }

    /// The shortest lease in seconds: one and a half election timeouts, rounded up.
    #[must_use]
    pub fn min_lease_ttl(&self) -> i64 {
        i64::try_from((3 * self.election_ms).div_ceil(2).div_ceil(1000)).unwrap_or(i64::MAX)
    }
}
