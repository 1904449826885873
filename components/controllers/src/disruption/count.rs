//! What the pods of a budget come to; pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::SelectorExt as _;
use mainstay_client::selector;

use crate::limits::DISRUPTED_POD_TIMEOUT;
use crate::pods::is_ready;
use crate::shares::{Round, scaled};

/// Pods whose eviction was agreed to and that are not on their way yet.
#[derive(Debug, Default)]
pub(super) struct Disrupted {
    /// Since when, by name.
    pub(super) since: BTreeMap<String, Time>,
    /// When the first of them is no longer waited for.
    pub(super) again: Option<Duration>,
    /// Those that were to be deleted and were not, for too long.
    pub(super) late: Vec<Arc<Pod>>,
}

/// What is left of the list that evictions write into.
pub(super) fn disrupted(
    listed: Option<&BTreeMap<String, Time>>,
    pods: &[Arc<Pod>],
    now: Timestamp,
) -> Disrupted {
    let mut left = Disrupted::default();
    let timeout = SignedDuration::try_from(DISRUPTED_POD_TIMEOUT).unwrap_or(SignedDuration::MAX);
    for pod in pods {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let Some(since) = listed.and_then(|listed| listed.get(name)) else {
            continue;
        };
        if pod.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let rest = timeout.saturating_sub(now.duration_since(since.0));
        let Ok(rest) = Duration::try_from(rest) else {
            left.late.push(Arc::clone(pod));
            continue;
        };
        left.again = Some(left.again.map_or(rest, |again| again.min(rest)));
        left.since.insert(name.to_owned(), since.clone());
    }
    left
}

/// Pods that serve and will not go as far as it is known.
pub(super) fn healthy(pods: &[Arc<Pod>], disrupted: &BTreeMap<String, Time>) -> i32 {
    let serves = |pod: &&Arc<Pod>| {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        pod.metadata.deletion_timestamp.is_none() && !disrupted.contains_key(name) && is_ready(pod)
    };
    i32::try_from(pods.iter().filter(serves).count()).unwrap_or(i32::MAX)
}

/// Whether the number of pods that there should be decides what a budget asks for: always but for a plain number of
/// pods that must be there.
pub(super) fn needs_scale(spec: &PodDisruptionBudgetSpec) -> bool {
    let least = spec.min_available.as_ref();
    spec.max_unavailable.is_some() || matches!(least, Some(IntOrString::String(_)))
}

/// Pods that must be healthy when there should be `expected`.
pub(super) fn desired(spec: &PodDisruptionBudgetSpec, expected: i32) -> i32 {
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(most), _) => {
            let most = scaled(most, expected, Round::Up);
            expected.saturating_sub(most).max(0)
        }
        (None, Some(least)) => scaled(least, expected, Round::Up),
        (None, None) => 0,
    }
}

/// Whether a budget is about pods with these labels: none without a selector, all with an empty one.
pub(super) fn covers(budget: &PodDisruptionBudget, labels: &BTreeMap<String, String>) -> bool {
    let Some(wanted) = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref()) else {
        return false;
    };
    // Most selectors are labels only, and most do not match: every pod is compared with every budget.
    let mut plain = wanted.match_labels.iter().flatten();
    if plain.any(|(name, value)| labels.get(name) != Some(value)) {
        return false;
    }
    wanted.match_expressions.as_ref().is_none_or(Vec::is_empty)
        || matches!(selector(Some(wanted)), Ok(Some(selector)) if selector.matches(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, ready: bool, goes: bool) -> Arc<Pod> {
        let status = if ready { "True" } else { "False" };
        let goes = goes.then_some("2026-01-01T00:00:00Z");
        let pod = json!({
            "metadata": {"name": name, "deletionTimestamp": goes},
            "status": {"conditions": [{"type": "Ready", "status": status}]},
        });
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    fn at(time: &str) -> Timestamp {
        time.parse().expect("a time")
    }

    #[test]
    fn a_pod_that_is_to_go_does_not_count_until_it_is_clear_that_it_stays() {
        let listed = ["going", "gone", "late", "leaving"].map(|name| {
            let since = if name == "late" {
                "00:00:59"
            } else {
                "00:02:00"
            };
            (name.to_owned(), Time(at(&format!("2026-01-01T{since}Z"))))
        });
        let listed = BTreeMap::from(listed);
        let pods = [
            pod("going", true, false),
            pod("late", true, false),
            pod("leaving", true, true),
            pod("other", true, false),
            pod("unready", false, false),
        ];
        let left = disrupted(Some(&listed), &pods, at("2026-01-01T00:03:00Z"));
        assert_eq!(left.since.keys().collect::<Vec<_>>(), ["going"]);
        assert_eq!(left.again, Some(Duration::from_secs(60)));
        assert_eq!(left.late, [pod("late", true, false)]);
        assert_eq!(healthy(&pods, &left.since), 2, "late and other");
        let none = disrupted(None, &pods, at("2026-01-01T00:03:00Z"));
        assert_eq!(healthy(&pods, &none.since), 3);
    }

    #[test]
    fn what_must_be_healthy_is_rounded_up_and_what_may_be_missing_too() {
        for (spec, expected, wanted, scale) in [
            (json!({"minAvailable": 2}), 10, 2, false),
            (json!({"minAvailable": "50%"}), 5, 3, true),
            (json!({"minAvailable": "100%"}), 5, 5, true),
            (json!({"maxUnavailable": 2}), 5, 3, true),
            (json!({"maxUnavailable": 9}), 5, 0, true),
            (json!({"maxUnavailable": "30%"}), 5, 3, true),
            (json!({"maxUnavailable": "0%"}), 5, 5, true),
            (json!({}), 5, 0, false),
        ] {
            let parsed = serde_json::from_value(spec.clone()).expect("a spec");
            assert_eq!(desired(&parsed, expected), wanted, "{spec} of {expected}");
            assert_eq!(needs_scale(&parsed), scale, "{spec}");
        }
    }

    #[test]
    fn a_budget_without_a_selector_is_about_nothing_and_with_an_empty_one_about_all() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        for (selector, covered) in [
            (Value::Null, false),
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "web", "v": "2"}}), false),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
                false,
            ),
        ] {
            let budget = json!({"metadata": {}, "spec": {"selector": selector}});
            let parsed = serde_json::from_value(budget.clone()).expect("a budget");
            assert_eq!(covers(&parsed, &labels), covered, "{budget}");
        }
    }
}
