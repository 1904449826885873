//! The status of a budget.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";
pub(super) const SYNC_FAILED: &str = "SyncFailed";

/// What was counted.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) expected: i32,
    pub(super) desired: i32,
    pub(super) healthy: i32,
    pub(super) disrupted: BTreeMap<String, Time>,
}

/// The status after a count.
pub(super) fn counted(
    budget: &PodDisruptionBudget,
    counted: Counted,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let spare = counted.healthy.saturating_sub(counted.desired).max(0);
    let allowed = if counted.expected <= 0 { 0 } else { spare };
    let old = budget.status.clone().unwrap_or_default();
    let (status, reason) = match allowed {
        0 => ("False", "InsufficientPods"),
        _ => ("True", "SufficientPods"),
    };
    let condition = Condition {
        type_: DISRUPTION_ALLOWED.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        observed_generation: budget.metadata.generation,
        last_transition_time: Time(now),
    };
    PodDisruptionBudgetStatus {
        conditions: Some(with(old.conditions, condition)),
        current_healthy: Some(counted.healthy),
        desired_healthy: Some(counted.desired),
        disrupted_pods: Some(counted.disrupted).filter(|pods| !pods.is_empty()),
        disruptions_allowed: Some(allowed),
        expected_pods: Some(counted.expected),
        observed_generation: budget.metadata.generation,
    }
}

/// The status when nothing can be counted: nothing may go, and the rest stays as it was.
pub(super) fn failed(
    budget: &PodDisruptionBudget,
    why: &str,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let old = budget.status.clone().unwrap_or_default();
    let condition = Condition {
        type_: DISRUPTION_ALLOWED.to_owned(),
        status: "False".to_owned(),
        reason: SYNC_FAILED.to_owned(),
        message: why.to_owned(),
        observed_generation: old.observed_generation,
        last_transition_time: Time(now),
    };
    PodDisruptionBudgetStatus {
        conditions: Some(with(old.conditions, condition)),
        // They are members of every status, even of one that never was counted.
        current_healthy: Some(old.current_healthy.unwrap_or(0)),
        desired_healthy: Some(old.desired_healthy.unwrap_or(0)),
        expected_pods: Some(old.expected_pods.unwrap_or(0)),
        disruptions_allowed: Some(0),
        disrupted_pods: old.disrupted_pods,
        observed_generation: old.observed_generation,
    }
}

/// The conditions with this one set; its time stays as long as its status does.
fn with(conditions: Option<Vec<Condition>>, mut condition: Condition) -> Vec<Condition> {
    let mut conditions = conditions.unwrap_or_default();
    match conditions
        .iter_mut()
        .find(|old| old.type_ == condition.type_)
    {
        Some(old) => {
            if old.status == condition.status {
                condition.last_transition_time = old.last_transition_time.clone();
            }
            *old = condition;
        }
        None => conditions.push(condition),
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn budget(status: Value) -> PodDisruptionBudget {
        let budget = json!({"metadata": {"generation": 2}, "status": status});
        serde_json::from_value(budget).expect("a budget")
    }

    fn now() -> Timestamp {
        "2026-01-01T00:01:00Z".parse().expect("a time")
    }

    fn count(expected: i32, desired: i32, healthy: i32) -> Counted {
        Counted {
            expected,
            desired,
            healthy,
            disrupted: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_more_than_must_be_may_go() {
        for (expected, desired, healthy, allowed, reason) in [
            (3, 2, 3, 1, "SufficientPods"),
            (3, 3, 3, 0, "InsufficientPods"),
            (3, 3, 1, 0, "InsufficientPods"),
            (0, 0, 3, 0, "InsufficientPods"),
        ] {
            let status = counted(&budget(json!({})), count(expected, desired, healthy), now());
            assert_eq!(status.disruptions_allowed, Some(allowed));
            assert_eq!(status.conditions.expect("one")[0].reason, reason);
            assert_eq!(status.observed_generation, Some(2));
        }
    }

    #[test]
    fn a_failure_closes_the_budget_and_the_next_count_ends_it() {
        let healthy = counted(&budget(json!({})), count(3, 2, 3), now());
        let mut object = budget(serde_json::to_value(&healthy).expect("JSON"));
        let later = "2026-01-01T00:02:00Z".parse().expect("a time");
        object.status = Some(failed(&object, "it is broken", later));
        let shown = serde_json::to_value(&object.status).expect("JSON");
        assert_eq!(shown["disruptionsAllowed"], 0);
        assert_eq!(shown["currentHealthy"], 3);
        assert_eq!(shown["conditions"][0]["reason"], SYNC_FAILED);
        assert_eq!(shown["conditions"][0]["message"], "it is broken");
        assert_eq!(
            shown["conditions"][0]["lastTransitionTime"],
            "2026-01-01T00:02:00Z"
        );
        assert_eq!(Some(failed(&object, "it is broken", now())), object.status);
        let again = counted(&object, count(3, 2, 3), now());
        assert_eq!(again, healthy);
    }
}
