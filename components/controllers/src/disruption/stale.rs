//! Pods of which it was said that they would be taken away, and that were not.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::limits::STALE_DISRUPTION_TIMEOUT;
use crate::pods::phase;

const DISRUPTION_TARGET: &str = "DisruptionTarget";

/// After what time the condition of a pod is no longer true; `None` if it does not have it, or has come to its end.
pub(super) fn stale_in(pod: &Pod, now: Timestamp) -> Option<Duration> {
    if pod.metadata.deletion_timestamp.is_some() || matches!(phase(pod), "Succeeded" | "Failed") {
        return None;
    }
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions
        .iter()
        .find(|one| one.type_ == DISRUPTION_TARGET)?;
    // The kubelet knows what it does.
    if condition.status != "True" || condition.reason.as_deref() == Some("TerminationByKubelet") {
        return None;
    }
    let Some(since) = &condition.last_transition_time else {
        return Some(Duration::ZERO);
    };
    let timeout = SignedDuration::try_from(STALE_DISRUPTION_TIMEOUT).unwrap_or(SignedDuration::MAX);
    let rest = timeout.saturating_sub(now.duration_since(since.0));
    Some(Duration::try_from(rest).unwrap_or(Duration::ZERO))
}

/// A strategic merge patch for the status of exactly this state of a pod: it is not to be disrupted any more.
pub(super) fn reset(pod: &Pod, now: Timestamp) -> Value {
    let now = now.round(Unit::Second).unwrap_or(now);
    let metadata = &pod.metadata;
    json!({
        "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
        "status": {"conditions": [{
            "type": DISRUPTION_TARGET,
            "status": "False",
            "observedGeneration": metadata.generation,
            "lastTransitionTime": now.to_string(),
            "lastProbeTime": null,
            "reason": null,
            "message": null,
        }]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_waited_for_two_minutes_unless_it_is_going_or_the_kubelet_takes_it() {
        let true_since = |reason: &str, since: &str| {
            json!({"status": {"conditions": [{
                "type": DISRUPTION_TARGET, "status": "True", "reason": reason, "lastTransitionTime": since,
            }]}})
        };
        let mut leaving = true_since("Evicted", "2026-01-01T00:00:00Z");
        leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let mut ended = true_since("Evicted", "2026-01-01T00:00:00Z");
        ended["status"]["phase"] = "Failed".into();
        for (pod, seconds) in [
            (true_since("Evicted", "2026-01-01T00:09:00Z"), Some(60)),
            (true_since("Evicted", "2026-01-01T00:00:00Z"), Some(0)),
            (
                true_since("TerminationByKubelet", "2026-01-01T00:00:00Z"),
                None,
            ),
            (leaving, None),
            (ended, None),
            (json!({}), None),
        ] {
            let parsed = serde_json::from_value(pod.clone()).expect("a pod");
            let now = "2026-01-01T00:10:00Z".parse().expect("a time");
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(stale_in(&parsed, now), expected, "{pod}");
        }
    }
}
