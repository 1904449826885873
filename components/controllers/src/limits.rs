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
