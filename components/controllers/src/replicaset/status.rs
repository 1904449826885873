//! What the status of a replica set says.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::pods::{is_available, is_ready};

/// The status of either kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Status {
    pub(super) replicas: i32,
    pub(super) fully_labeled: i32,
    pub(super) ready: i32,
    pub(super) available: i32,
    /// Pods that are being deleted and still there; replication controllers do not tell it.
    pub(super) terminating: i32,
    pub(super) observed_generation: i64,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) type_: String,
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
    pub(super) since: Option<Time>,
}

const REPLICA_FAILURE: &str = "ReplicaFailure";

/// What went wrong in this round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// `FailedCreate` or `FailedDelete`.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What is counted.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) active: &'a [&'a Pod],
    pub(super) terminating: usize,
    pub(super) template: Option<&'a PodTemplateSpec>,
    pub(super) min_ready_seconds: i32,
    pub(super) generation: i64,
    pub(super) now: Timestamp,
}

impl Status {
    /// The status after what was seen; conditions keep their times as long as they stay.
    pub(super) fn after(&self, seen: &Seen<'_>, failure: Option<&Failure>) -> Self {
        let labels = seen
            .template
            .and_then(|template| template.metadata.as_ref())
            .and_then(|metadata| metadata.labels.as_ref());
        let labeled = |pod: &&&Pod| {
            let own = pod.metadata.labels.as_ref();
            labels
                .into_iter()
                .flatten()
                .all(|(name, value)| own.and_then(|own| own.get(name)) == Some(value))
        };
        let available = |pod: &&&Pod| is_available(pod, seen.min_ready_seconds, seen.now);
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        Self {
            replicas: count(seen.active.len()),
            fully_labeled: count(seen.active.iter().filter(labeled).count()),
            ready: count(seen.active.iter().filter(|pod| is_ready(pod)).count()),
            available: count(seen.active.iter().filter(available).count()),
            terminating: count(seen.terminating),
            observed_generation: seen.generation,
            conditions: self.conditions_after(failure, seen.now),
        }
    }

    fn conditions_after(&self, failure: Option<&Failure>, now: Timestamp) -> Vec<Condition> {
        let failed = |condition: &&Condition| condition.type_ == REPLICA_FAILURE;
        let others = self.conditions.iter().filter(|c| !failed(c)).cloned();
        let mut conditions: Vec<_> = others.collect();
        if let Some(failure) = failure {
            let old = self.conditions.iter().find(failed);
            let since = old.and_then(|old| old.since.clone());
            let message = match old {
                // Upstream's rule: the text stays while the reason does.
                Some(old) if old.reason.as_deref() == Some(failure.reason) => old.message.clone(),
                _ => Some(failure.message.clone()),
            };
            conditions.push(Condition {
                type_: REPLICA_FAILURE.to_owned(),
                status: "True".to_owned(),
                reason: Some(failure.reason.to_owned()),
                message,
                since: since.or(Some(Time(now))),
            });
        }
        conditions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(labels: serde_json::Value, ready_since: Option<&str>) -> Pod {
        let conditions = ready_since
            .map(|since| json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]));
        let pod = json!({
            "metadata": {"labels": labels},
            "status": {"phase": "Running", "conditions": conditions.unwrap_or(json!([]))},
        });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn pods_count_as_labeled_ready_and_available() {
        let template = json!({"metadata": {"labels": {"app": "web", "v": "1"}}});
        let template: PodTemplateSpec = serde_json::from_value(template).expect("a template");
        let pods = [
            pod(
                json!({"app": "web", "v": "1"}),
                Some("2026-01-01T00:00:00Z"),
            ),
            pod(
                json!({"app": "web", "v": "1"}),
                Some("2026-01-01T00:00:55Z"),
            ),
            pod(json!({"app": "web"}), None),
        ];
        let active: Vec<_> = pods.iter().collect();
        let seen = Seen {
            active: &active,
            terminating: 2,
            template: Some(&template),
            min_ready_seconds: 10,
            generation: 3,
            now: "2026-01-01T00:01:00Z".parse().expect("a time"),
        };
        let status = Status::default().after(&seen, None);
        let expected = Status {
            replicas: 3,
            fully_labeled: 2,
            ready: 2,
            available: 1,
            terminating: 2,
            observed_generation: 3,
            conditions: vec![],
        };
        assert_eq!(status, expected);
    }

    #[test]
    fn a_failure_is_a_condition_as_long_as_it_lasts_and_keeps_its_time() {
        let seen = |now: &str| Seen {
            active: &[],
            terminating: 0,
            template: None,
            min_ready_seconds: 0,
            generation: 1,
            now: now.parse().expect("a time"),
        };
        let failure = |reason, message: &str| Failure {
            reason,
            message: message.to_owned(),
        };
        let quota = failure("FailedCreate", "exceeded quota");
        let first = Status::default().after(&seen("2026-01-01T00:00:00Z"), Some(&quota));
        let other = failure("FailedCreate", "exceeded quota, again");
        let second = first.after(&seen("2026-01-01T00:01:00Z"), Some(&other));
        assert_eq!(first, second, "the same reason changes nothing");
        assert!(
            second
                .after(&seen("2026-01-01T00:02:00Z"), None)
                .conditions
                .is_empty()
        );
    }
}
