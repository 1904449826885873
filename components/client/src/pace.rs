//! How long work that failed must wait: longer with each failure of its own, and longer when all fail at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{RETRIES_AT_ONCE, RETRIES_PER_SECOND, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};

/// Tokens that come at a fixed rate up to a most; taking more than there are means waiting.
#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    most: f64,
    per_second: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(most: f64, per_second: f64, now: Instant) -> Self {
        Self {
            tokens: most,
            most,
            per_second,
            at: now,
        }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.most);
        self.at = now;
    }

    /// Takes a token that may have to be waited for, and says how long.
    pub(crate) fn reserve(&mut self, now: Instant) -> Duration {
        self.fill(now);
        self.tokens -= 1.0;
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(-self.tokens / self.per_second)
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

/// Failures in a row by name.
#[derive(Debug)]
pub(crate) struct Pace<T> {
    failures: HashMap<T, u32>,
    all: Bucket,
}

impl<T: Eq + Hash + Clone> Pace<T> {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            failures: HashMap::new(),
            all: Bucket::new(RETRIES_AT_ONCE, RETRIES_PER_SECOND, now),
        }
    }

    /// Counts a failure and says after what pause to try again.
    pub(crate) fn failed(&mut self, item: &T, now: Instant) -> Duration {
        let failures = self.failures.entry(item.clone()).or_default();
        let own = pause(*failures);
        *failures = failures.saturating_add(1);
        own.max(self.all.reserve(now))
    }

    pub(crate) fn failures(&self, item: &T) -> u32 {
        self.failures.get(item).copied().unwrap_or(0)
    }

    pub(crate) fn forget(&mut self, item: &T) {
        self.failures.remove(item);
    }
}

fn pause(failures: u32) -> Duration {
    // 5 ms times 2^18 is more than 1000 s already.
    let factor = 1u32 << failures.min(20);
    RETRY_PAUSE_MIN.saturating_mul(factor).min(RETRY_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_thousand_seconds_and_begin_again_after_success() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let mut pauses = |times: u32| {
            let mut last = Duration::ZERO;
            for _ in 0..times {
                last = pace.failed(&"a", now);
            }
            last
        };
        assert_eq!(pauses(1), Duration::from_millis(5));
        assert_eq!(pauses(1), Duration::from_millis(10));
        assert_eq!(pauses(16), Duration::from_millis(5 << 17));
        assert_eq!(pauses(30), Duration::from_secs(1000));
        assert_eq!(pace.failures(&"a"), 48);
        pace.forget(&"a");
        assert_eq!(pace.failed(&"a", now), Duration::from_millis(5));
    }

    #[test]
    fn a_hundred_may_fail_at_once_and_then_ten_a_second() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for item in 0..100 {
            assert_eq!(pace.failed(&item, now), RETRY_PAUSE_MIN);
        }
        assert_eq!(pace.failed(&100, now), Duration::from_millis(100));
        assert_eq!(pace.failed(&101, now), Duration::from_millis(200));
        let later = now + Duration::from_secs(1);
        assert_eq!(pace.failed(&102, later), RETRY_PAUSE_MIN);
    }
}
