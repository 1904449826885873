//! Pauses that grow while something keeps failing.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// By key: how long to wait after a failure. Times are durations since some fixed moment.
#[derive(Debug)]
pub struct Backoff<K> {
    min: Duration,
    max: Duration,
    entries: HashMap<K, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    pause: Duration,
    updated: Duration,
}

impl<K: Hash + Eq> Backoff<K> {
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            entries: HashMap::new(),
        }
    }

    /// How long is still to be waited after a failure at `failed`, with the whole pause; `None` to go on now.
    pub fn remaining(
        &self,
        key: &K,
        failed: Duration,
        now: Duration,
    ) -> Option<(Duration, Duration)> {
        let entry = self.entries.get(key)?;
        if self.expired(*entry, failed) {
            return None;
        }
        let passed = now.saturating_sub(failed);
        (passed < entry.pause).then(|| (entry.pause - passed, entry.pause))
    }

    /// What failed at `failed` is tried again now: the next failure has a longer pause.
    pub fn next(&mut self, key: K, failed: Duration, now: Duration) {
        let pause = match self.entries.get(&key) {
            Some(entry) if !self.expired(*entry, failed) => (entry.pause * 2).min(self.max),
            _ => self.min,
        };
        self.entries.insert(
            key,
            Entry {
                pause,
                updated: now,
            },
        );
    }

    /// It worked.
    pub fn forget(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Drops what no longer counts.
    pub fn tidy(&mut self, now: Duration) {
        let max = self.max;
        self.entries
            .retain(|_, entry| now.saturating_sub(entry.updated) <= max * 2);
    }

    /// Who ran for twice the longest pause begins anew.
    fn expired(&self, entry: Entry, failed: Duration) -> bool {
        failed.saturating_sub(entry.updated) > self.max * 2
    }
}
