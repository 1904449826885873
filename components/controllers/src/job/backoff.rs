//! How long a job waits before it makes another pod after one failed.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use mainstay_client::Key;
use parking_lot::Mutex;

use super::pod::{finished_at, index_failures};
use crate::limits::{JOB_BACKOFF_MAX, JOB_BACKOFF_MIN};

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    count: u32,
    last: Option<Timestamp>,
}

impl Failures {
    /// After these pods have come to their ends: a success begins the count anew.
    pub(super) fn after(self, succeeded: &[&Pod], failed: &[&Pod], now: Timestamp) -> Self {
        let success = succeeded.iter().map(|pod| finished_at(pod, now)).max();
        let mut after = match success {
            Some(_) => Self::default(),
            None => self,
        };
        for end in failed.iter().map(|pod| finished_at(pod, now)) {
            if success.is_none_or(|success| end > success) {
                after.count = after.count.saturating_add(1);
                after.last = after.last.max(Some(end));
            }
        }
        after
    }

    /// The failures of one index, of which `pod` was the last.
    pub(super) fn of_index(pod: &Pod, now: Timestamp) -> Self {
        let (failures, ignored) = index_failures(pod);
        Self {
            count: u32::try_from(failures + ignored).unwrap_or(0) + 1,
            last: Some(finished_at(pod, now)),
        }
    }

    /// Time until the next pod may be made.
    pub(super) fn remaining(self, now: Timestamp) -> Duration {
        let (Some(last), 1..) = (self.last, self.count) else {
            return Duration::ZERO;
        };
        // 10 s times 2^6 is more than 10 min already.
        let factor = 1 << (self.count - 1).min(16);
        let pause = JOB_BACKOFF_MIN.saturating_mul(factor).min(JOB_BACKOFF_MAX);
        let passed = Duration::try_from(now.duration_since(last)).unwrap_or(Duration::ZERO);
        pause.saturating_sub(passed)
    }
}

/// The failures of all jobs. What is lost in a restart costs a pause, not more.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    jobs: Mutex<HashMap<Key, Failures>>,
}

impl Backoff {
    pub(super) fn get(&self, key: &Key) -> Failures {
        self.jobs.lock().get(key).copied().unwrap_or_default()
    }

    pub(super) fn set(&self, key: &Key, failures: Failures) {
        let mut jobs = self.jobs.lock();
        match failures.count {
            0 => jobs.remove(key),
            _ => jobs.insert(key.clone(), failures),
        };
    }

    pub(super) fn forget(&self, key: &Key) {
        self.jobs.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(end: u32) -> Pod {
        let end = format!("2026-01-01T00:00:{end:02}Z");
        let pod = json!({"status": {"containerStatuses": [{"name": "c", "image": "", "imageID": "",
            "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 1, "finishedAt": end}}}]}});
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn pauses_double_from_ten_seconds_to_ten_minutes_and_success_ends_them() {
        let now: Timestamp = "2026-01-01T00:00:30Z".parse().expect("a time");
        let fail = |failures: Failures, end: u32| failures.after(&[], &[&pod(end)], now);
        let first = fail(Failures::default(), 30);
        assert_eq!(first.remaining(now), Duration::from_secs(10));
        let earlier = fail(Failures::default(), 24);
        assert_eq!(earlier.remaining(now), Duration::from_secs(4));
        let second = fail(first, 30);
        assert_eq!(second.remaining(now), Duration::from_secs(20));
        let many = (0..20).fold(first, |failures, _| fail(failures, 30));
        assert_eq!(many.remaining(now), Duration::from_secs(600));
        let success = many.after(&[&pod(10)], &[&pod(5), &pod(30)], now);
        assert_eq!(success.remaining(now), Duration::from_secs(10));
        let success = many.after(&[&pod(30)], &[&pod(5)], now);
        assert_eq!(success.remaining(now), Duration::ZERO);
    }
}
