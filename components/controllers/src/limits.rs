//! Every limit and deadline of this crate, in one place.

use std::time::Duration;

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
