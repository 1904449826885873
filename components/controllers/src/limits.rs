//! Every limit and deadline of this crate, in one place.

use std::time::Duration;

/// How long a controller may wait for its credentials and still be well.
pub const CREDENTIALS_WAIT_MAX: Duration = Duration::from_secs(60);
/// Pause before it is looked again whether a cache shows what was written; mostly an event is faster.
pub const UNSEEN_PAUSE: Duration = Duration::from_millis(500);
/// Pods that one round of a replica set creates or deletes at most; further ones follow in the next round.
pub const REPLICAS_AT_ONCE: usize = 500;
/// Requests of the first batch of creations; each batch that succeeds doubles the next.
pub const FIRST_BATCH: usize = 1;
/// Deletions under way at the same time in one round.
pub const DELETIONS_AT_ONCE: usize = 64;

/// Longest list of former revisions in an annotation of a replica set, in bytes.
pub const REVISION_HISTORY_MAX: usize = 2_000;
/// Longest name of an object, in bytes.
pub const NAME_MAX: usize = 253;
/// Names that are tried for one revision when others have them.
pub const COLLISIONS_MAX: u32 = 10;
/// Pods of one set that are worked on at the same time when their order does not matter.
pub const PODS_AT_ONCE: usize = 64;
/// First pause before a daemon's pod that failed is replaced; doubled with each failure.
pub const FAILED_PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest such pause.
pub const FAILED_PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// Pods that one round of a daemon set creates, or deletes, at most.
pub const DAEMONS_AT_ONCE: usize = 250;
/// Endpoints of one slice; upstream's default of `--max-endpoints-per-slice`.
pub const ENDPOINTS_PER_SLICE: usize = 100;
/// Addresses of one object of the older kind; more are cut off and it says so.
pub const ENDPOINTS_ADDRESSES_MAX: usize = 1_000;
/// Owners that the garbage collector remembers to be absent.
pub const ABSENT_OWNERS_MAX: usize = 500;
/// How often the garbage collector asks which resources there are.
pub const GC_DISCOVERY_PAUSE: Duration = Duration::from_secs(30);
/// How long it waits for all of them to be listed before it begins.
pub const GC_SYNC_WAIT_MAX: Duration = Duration::from_secs(30);
/// Watches of different kinds are not in step: an owner that is not seen may be seen this much later.
pub const GC_OWNER_PAUSE: Duration = Duration::from_millis(200);
/// Dependents of one owner that are let go at the same time.
pub const GC_PATCHES_AT_ONCE: usize = 16;
/// Kinds that are asked at the same time for what an owner owns.
pub const GC_LISTS_AT_ONCE: usize = 8;
/// Objects of one page of such a list.
pub const GC_LIST_PAGE: u32 = 500;

/// Pause between the deletion of a namespace and that of what is in it.
pub const NAMESPACE_DELETION_PAUSE: Duration = Duration::from_secs(5);
/// Objects of one page of the lists of what is left in a namespace.
pub const NAMESPACE_LIST_PAGE: u32 = 500;
/// Seconds that finalizers are thought to take.
pub const FINALIZER_SECONDS: i64 = 15;

/// Time in which changes of a job's pods are gathered: each round writes its status.
pub const JOB_GATHER: Duration = Duration::from_secs(1);
/// Pods that one round of a job creates or deletes at most.
pub const JOB_PODS_AT_ONCE: usize = 500;
/// Pods that a job's status names at most while they are counted.
pub const JOB_UNCOUNTED_MAX: usize = 500;
/// Pods of one job that are asked for or lose their finalizers at the same time.
pub const JOB_FINALIZERS_AT_ONCE: usize = 16;
/// Pause after the first pod of a job that failed; doubled with each failure in a row.
pub const JOB_BACKOFF_MIN: Duration = Duration::from_secs(10);
/// Longest such pause.
pub const JOB_BACKOFF_MAX: Duration = Duration::from_secs(600);

/// Starts of a cron job that may be missed before it is told that they were.
pub const CRON_MISSED_MAX: i64 = 100;

/// Objects of one page of the lists by which a quota is counted.
pub const QUOTA_LIST_PAGE: u32 = 500;
/// How long a quota must have been as it is before what it is used up by is counted again: what was charged last
/// is stored by then.
pub const QUOTA_SETTLE_PAUSE: Duration = Duration::from_millis(500);

/// How often pods are looked for that nobody takes away.
pub const POD_GC_PAUSE: Duration = Duration::from_secs(20);
/// How long a node must be missing before its pods go.
pub const POD_GC_NODE_PAUSE: Duration = Duration::from_secs(40);
/// Pods that are taken away at the same time.
pub const POD_GC_AT_ONCE: usize = 16;

/// Budgets that are counted at the same time.
pub const DISRUPTION_WORKERS: usize = 4;
/// How long a pod whose eviction was agreed to is expected to go, before it counts again.
pub const DISRUPTED_POD_TIMEOUT: Duration = Duration::from_secs(2 * 60);
/// How long a pod may say that it is about to be disrupted.
pub const STALE_DISRUPTION_TIMEOUT: Duration = Duration::from_secs(2 * 60);

/// Certificate signing requests that are approved, or signed, at the same time.
pub const CSR_WORKERS: usize = 5;
/// Longest request that is read, in bytes.
pub const CSR_BYTES_MAX: usize = 64 << 10;
/// How long requests are kept that were answered: signed, denied or failed.
pub const CSR_DECIDED_AGE_MAX: Duration = Duration::from_secs(3_600);
/// How long requests are kept that were not.
pub const CSR_PENDING_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Aggregated cluster roles that are worked out at the same time.
pub const CLUSTER_ROLE_WORKERS: usize = 5;
/// How long an aggregated cluster role may have wrong rules before the controller writes them: this project's
/// apiserver does it by itself, and needs a fraction of that.
pub const AGGREGATION_GRACE: Duration = Duration::from_secs(2);
/// How often old tokens of service accounts are looked at.
pub const LEGACY_TOKEN_PAUSE: Duration = Duration::from_secs(24 * 3_600);

/// Nodes whose taints and labels are worked on at the same time.
pub const NODE_WORKERS: usize = 8;
/// Writes to nodes, or to their pods, that are under way at the same time in one look at all nodes.
pub const NODE_WRITES_AT_ONCE: usize = 16;
/// Time for the apiserver to answer before silence is taken for its own.
pub const NODE_PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pods that are judged, and if need be evicted, at the same time.
pub const TAINT_EVICTION_WORKERS: usize = 8;
/// Nodes that are given ranges of addresses at the same time.
pub const NODE_IPAM_WORKERS: usize = 16;
/// Bits that the prefix of a node may be longer than the cluster's, IPv4: 2 MiB of bits.
pub const CIDR_BITS_MAX_V4: u8 = 24;
/// The same of IPv6: 65,536 nodes, as upstream has it.
pub const CIDR_BITS_MAX_V6: u8 = 16;
