//! Telling that a pod ends by no fault of its own.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

const DISRUPTION_TARGET: &str = "DisruptionTarget";

/// The condition that says so, for a strategic patch of the status; `None` if the pod has it.
pub(crate) fn disruption(pod: &Pod, reason: &str, message: &str, now: Timestamp) -> Option<Value> {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    let old = conditions.find(|condition| condition.type_ == DISRUPTION_TARGET);
    let old = old.filter(|condition| condition.status == "True");
    let says = |text: Option<&String>, what: &str| text.is_some_and(|text| text == what);
    if old.is_some_and(|c| says(c.reason.as_ref(), reason) && says(c.message.as_ref(), message)) {
        return None;
    }
    let since = old.and_then(|condition| condition.last_transition_time.as_ref());
    let since = since.map_or(now, |time| time.0);
    // Times in objects have no fractions.
    let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
    Some(json!({
        "type": DISRUPTION_TARGET, "status": "True", "reason": reason, "message": message,
        "lastTransitionTime": since.to_string(), "observedGeneration": pod.metadata.generation,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_and_since_when() {
        let mut pod = Pod::default();
        let now: Timestamp = "2026-01-01T00:00:00.5Z".parse().expect("a time");
        let first = disruption(&pod, "R", "m", now).expect("it is not told");
        assert_eq!(first["lastTransitionTime"], "2026-01-01T00:00:00Z");
        let status = json!({"conditions": [first]});
        pod.status = serde_json::from_value(status).expect("a status");
        let later = now + jiff::SignedDuration::from_secs(60);
        assert_eq!(disruption(&pod, "R", "m", later), None);
        let other = disruption(&pod, "S", "m", later).expect("for another reason");
        assert_eq!(other["lastTransitionTime"], "2026-01-01T00:00:00Z");
    }
}
