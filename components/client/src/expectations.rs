//! What a controller has asked for and its cache does not show yet.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::key::Key;
use crate::limits::EXPECTATIONS_TTL;

/// Creations and deletions under way, by the object they are done for. As long as some are, the cache of what it
/// owns is known to be behind, and who counts what is there would make or delete too many.
///
/// Call `expect_…` before the request, `…_seen` when the informer shows it (or the request failed for certain).
#[derive(Debug, Default)]
pub struct Expectations {
    pending: Mutex<HashMap<Key, Pending>>,
}

#[derive(Debug)]
struct Pending {
    creations: i64,
    /// Deletions by uid: the same deletion is seen twice, as a deletionTimestamp and as a removal.
    deletions: HashSet<String>,
    since: Instant,
}

impl Pending {
    fn new() -> Self {
        Self {
            creations: 0,
            deletions: HashSet::new(),
            since: Instant::now(),
        }
    }

    fn is_met(&self) -> bool {
        self.creations <= 0 && self.deletions.is_empty()
    }
}

impl Expectations {
    /// Whether the cache shows all that was asked for; after five minutes it is believed anyway.
    #[must_use]
    pub fn are_met(&self, key: &Key) -> bool {
        let pending = self.pending.lock();
        pending
            .get(key)
            .is_none_or(|p| p.is_met() || p.since.elapsed() > EXPECTATIONS_TTL)
    }

    /// Time until unmet expectations are given up.
    #[must_use]
    pub fn given_up_in(&self, key: &Key) -> Duration {
        let pending = self.pending.lock();
        let since = pending.get(key).map(|p| p.since.elapsed());
        since.map_or(Duration::ZERO, |passed| {
            EXPECTATIONS_TTL.saturating_sub(passed)
        })
    }

    /// `count` objects are about to be created for `key`; what was expected before is void.
    pub fn expect_creations(&self, key: &Key, count: usize) {
        let mut fresh = Pending::new();
        fresh.creations = i64::try_from(count).unwrap_or(i64::MAX);
        self.pending.lock().insert(key.clone(), fresh);
    }

    /// The objects with these uids are about to be deleted for `key`; what was expected before is void.
    pub fn expect_deletions(&self, key: &Key, uids: impl IntoIterator<Item = String>) {
        let mut fresh = Pending::new();
        fresh.deletions = uids.into_iter().collect();
        self.pending.lock().insert(key.clone(), fresh);
    }

    pub fn creation_seen(&self, key: &Key) {
        if let Some(pending) = self.pending.lock().get_mut(key) {
            pending.creations -= 1;
        }
    }

    pub fn deletion_seen(&self, key: &Key, uid: &str) {
        if let Some(pending) = self.pending.lock().get_mut(key) {
            pending.deletions.remove(uid);
        }
    }

    /// The object itself is gone.
    pub fn forget(&self, key: &Key) {
        self.pending.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn expectations_hold_until_all_is_seen_or_five_minutes_have_passed() {
        let key = Key::new("default", "web");
        let expectations = Expectations::default();
        assert!(expectations.are_met(&key));
        expectations.expect_creations(&key, 2);
        expectations.creation_seen(&key);
        assert!(!expectations.are_met(&key));
        expectations.creation_seen(&key);
        expectations.creation_seen(&key);
        assert!(expectations.are_met(&key), "one more than expected is fine");

        expectations.expect_deletions(&key, ["u1".to_owned(), "u2".to_owned()]);
        expectations.deletion_seen(&key, "u1");
        expectations.deletion_seen(&key, "u1");
        expectations.creation_seen(&key);
        assert!(
            !expectations.are_met(&key),
            "the same deletion twice is one"
        );
        assert_eq!(expectations.given_up_in(&key), EXPECTATIONS_TTL);
        tokio::time::advance(EXPECTATIONS_TTL + Duration::from_secs(1)).await;
        assert!(expectations.are_met(&key));
        expectations.forget(&key);
        assert!(expectations.are_met(&key));
    }
}
