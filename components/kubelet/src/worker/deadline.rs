//! How long a pod may be active.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

/// What is left of `activeDeadlineSeconds`; `None` if there is none.
pub(super) fn left(pod: &Pod, status: &PodStatus, now: Timestamp) -> Option<Duration> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    let since = status.start_time.as_ref()?.0;
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let whole = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    Some(whole.saturating_sub(passed))
}
