//! Disruption budgets as an eviction sees them; pure.

use mainstay_machinery::meta;
use mainstay_machinery::selector::from_label_selector;
use mainstay_machinery::status::{Cause, GroupResource, Reason, StatusError, cause_type};
use mainstay_schema::Resource;
use serde_json::{Value, json};

use super::super::write::take_revision;
use crate::limits::{DISRUPTED_PODS_MAX, EVICTION_RETRY_SECONDS};

const CONDITION: &str = "DisruptionAllowed";

/// What a budget had to say about an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// It was spent from, or there is none.
    Guarded,
    /// The budget of this name does not guard the pod, as long as it is not ready.
    Unready(String),
}

pub(super) fn resource() -> Result<&'static Resource, StatusError> {
    mainstay_schema::resource("policy", "v1", "poddisruptionbudgets")
        .ok_or_else(|| StatusError::internal("the table has no disruption budgets"))
}

/// Pods that come to no harm: they have ended, or are on their way already.
pub(super) fn is_over(pod: &Value) -> bool {
    matches!(
        pod["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed")
    ) || meta::deletion_timestamp(pod).is_some()
}

/// Pods that serve nobody, so that no budget is asked: those that are over, or do not run yet.
pub(super) fn is_ignored(pod: &Value) -> bool {
    is_over(pod) || pod["status"]["phase"] == "Pending"
}

/// The budget over a pod; there may be one.
pub(super) fn of_pod<'a>(all: &'a [Value], pod: &Value) -> Result<Option<&'a Value>, StatusError> {
    let labels = meta::labels(pod);
    let covers = |budget: &&Value| {
        from_label_selector(&budget["spec"]["selector"]).is_ok_and(|s| s.matches(labels))
    };
    let mut covering = all.iter().filter(covers);
    match (covering.next(), covering.next()) {
        (_, Some(_)) => Err(StatusError::new(
            500,
            Reason::Unknown,
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )),
        (budget, None) => Ok(budget),
    }
}

/// Pods that do not work anyway may go if the budget says so, or if there are enough others.
pub(super) fn lets_unready_go(budget: &Value, pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    if conditions.is_some_and(|list| list.iter().any(ready)) {
        return false;
    }
    let (desired, healthy) = (
        number(budget, "desiredHealthy"),
        number(budget, "currentHealthy"),
    );
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (desired > 0 && healthy >= desired)
}

/// The budget after it let this pod go.
pub(super) fn spent(budget: &Value, pod: &str, now: &str) -> Result<Value, StatusError> {
    let name = meta::name(budget);
    let observed = number(budget, "observedGeneration");
    if observed < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        return Err(being_processed(name));
    }
    let forbidden = |why: &str| {
        // The singular, as upstream.
        let resource = GroupResource::new("policy", "poddisruptionbudget");
        Err(StatusError::forbidden(resource, name, why))
    };
    let allowed = number(budget, "disruptionsAllowed");
    if allowed < 0 {
        return forbidden("pdb disruptions allowed is negative");
    }
    let disrupted = budget["status"]["disruptedPods"].as_object();
    if disrupted.is_some_and(|pods| pods.len() > DISRUPTED_PODS_MAX) {
        return forbidden(
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        );
    }
    if allowed == 0 {
        return Err(refused(0, closed(budget)));
    }
    let mut budget = budget.clone();
    budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
    budget["status"]["disruptedPods"][pod] = now.into();
    if allowed == 1 {
        close(&mut budget["status"], now);
    }
    take_revision(&mut budget);
    Ok(budget)
}

/// The controller has to look first: at the budget, or at a pod that has become ready.
pub(super) fn being_processed(name: &str) -> StatusError {
    refused(
        EVICTION_RETRY_SECONDS,
        format!("The disruption budget {name} is still being processed by the server."),
    )
}

fn number(budget: &Value, name: &str) -> i64 {
    budget["status"][name].as_i64().unwrap_or(0)
}

fn refused(retry_seconds: u32, why: String) -> StatusError {
    StatusError::too_many_requests(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        retry_seconds,
    )
    .with_cause(Cause {
        reason: cause_type::DISRUPTION_BUDGET.to_owned(),
        message: why,
        field: String::new(),
    })
}

/// Why a budget lets nothing go.
fn closed(budget: &Value) -> String {
    let name = meta::name(budget);
    let (desired, healthy) = (
        number(budget, "desiredHealthy"),
        number(budget, "currentHealthy"),
    );
    let conditions = budget["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let condition = conditions.find(|one| one["type"] == CONDITION && one["status"] == "False");
    let text = |field: &str| {
        condition
            .and_then(|one| one[field].as_str())
            .unwrap_or_default()
    };
    let (reason, message) = (text("reason"), text("message"));
    match message {
        // The numbers are not to be trusted then.
        why if !why.is_empty() && reason == "SyncFailed" => format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {why}"
        ),
        _ if healthy <= desired => format!(
            "The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
        ),
        "" => format!("The disruption budget {name} does not allow evicting pods currently"),
        why => format!(
            "The disruption budget {name} does not allow evicting pods currently ({reason}): {why}"
        ),
    }
}

/// Says in the condition that nothing is left.
fn close(status: &mut Value, now: &str) {
    let mut condition = json!({
        "type": CONDITION,
        "status": "False",
        "reason": "InsufficientPods",
        "message": "",
        "lastTransitionTime": now,
    });
    if let Some(observed) = status["observedGeneration"].as_i64() {
        condition["observedGeneration"] = observed.into();
    }
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(conditions) = status["conditions"].as_array_mut() else {
        return;
    };
    match conditions.iter_mut().find(|one| one["type"] == CONDITION) {
        Some(old) => {
            if old["status"] == condition["status"] {
                condition["lastTransitionTime"] = old["lastTransitionTime"].take();
            }
            *old = condition;
        }
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(status: Value) -> Value {
        let mut budget = json!({
            "metadata": {"name": "b", "generation": 2},
            "spec": {},
            "status": {"observedGeneration": 2, "disruptionsAllowed": 0},
        });
        for (name, value) in status.as_object().into_iter().flatten() {
            budget["status"][name] = value.clone();
        }
        budget
    }

    #[test]
    fn a_budget_that_refuses_says_why() {
        let many: serde_json::Map<String, Value> = (0..=DISRUPTED_PODS_MAX)
            .map(|number| (number.to_string(), json!("2026-01-01T00:00:00Z")))
            .collect();
        let condition = |reason: &str, message: &str| json!([{"type": CONDITION, "status": "False", "reason": reason, "message": message}]);
        let processed = "The disruption budget b is still being processed by the server.";
        let few = "The disruption budget b needs 3 healthy pods and has 2 currently";
        let sync = "The disruption budget b does not allow evicting pods currently because it failed sync: no scale";
        let other =
            "The disruption budget b does not allow evicting pods currently (Held): by hand";
        let plain = "The disruption budget b does not allow evicting pods currently";
        for (status, seconds, why) in [
            (json!({"observedGeneration": 1}), Some(10), processed),
            (json!({"desiredHealthy": 3, "currentHealthy": 2}), None, few),
            (
                json!({"desiredHealthy": 3, "currentHealthy": 2, "conditions": condition("SyncFailed", "no scale")}),
                None,
                sync,
            ),
            (
                json!({"desiredHealthy": 1, "currentHealthy": 2, "conditions": condition("Held", "by hand")}),
                None,
                other,
            ),
            (
                json!({"desiredHealthy": 1, "currentHealthy": 2}),
                None,
                plain,
            ),
        ] {
            let error = spent(&budget(status.clone()), "p", "now").expect_err("refused");
            assert_eq!(
                (error.code, error.retry_after_seconds()),
                (429, seconds),
                "{status}"
            );
            let cause = &error.details.as_ref().expect("details").causes[0];
            assert_eq!(
                (cause.reason.as_str(), cause.message.as_str()),
                ("DisruptionBudget", why)
            );
        }
        for (status, why) in [
            (
                json!({"disruptionsAllowed": -1}),
                "pdb disruptions allowed is negative",
            ),
            (
                json!({"disruptionsAllowed": 5, "disruptedPods": many}),
                "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
            ),
        ] {
            let error = spent(&budget(status), "p", "now").expect_err("forbidden");
            let expected = format!("poddisruptionbudget.policy \"b\" is forbidden: {why}");
            assert_eq!((error.code, error.message), (403, expected));
        }
    }

    #[test]
    fn the_last_disruption_closes_the_budget() {
        let open = json!([{"type": CONDITION, "status": "True", "reason": "SufficientPods",
            "message": "", "lastTransitionTime": "before"}]);
        let two = budget(json!({"disruptionsAllowed": 2, "conditions": open}));
        let one = spent(&two, "p", "now").expect("spent");
        assert_eq!(one["status"]["disruptionsAllowed"], 1);
        assert_eq!(one["status"]["disruptedPods"], json!({"p": "now"}));
        assert_eq!(one["status"]["conditions"], open);
        let none = spent(&one, "q", "later").expect("spent");
        assert_eq!(
            none["status"]["disruptedPods"],
            json!({"p": "now", "q": "later"})
        );
        let closed = json!([{"type": CONDITION, "status": "False", "reason": "InsufficientPods",
            "message": "", "lastTransitionTime": "later", "observedGeneration": 2}]);
        assert_eq!(none["status"]["conditions"], closed);
        assert!(spent(&none, "r", "later").is_err());
    }

    #[test]
    fn unready_pods_go_when_the_budget_says_so_or_enough_others_serve() {
        let pod =
            |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
        let with = |policy: Value, desired: i64, healthy: i64| {
            let mut budget = budget(json!({"desiredHealthy": desired, "currentHealthy": healthy}));
            budget["spec"]["unhealthyPodEvictionPolicy"] = policy;
            budget
        };
        for (policy, desired, healthy, goes) in [
            (Value::Null, 2, 2, true),
            (Value::Null, 2, 1, false),
            (Value::Null, 0, 0, false),
            (json!("IfHealthyBudget"), 2, 1, false),
            (json!("AlwaysAllow"), 2, 1, true),
        ] {
            let budget = with(policy.clone(), desired, healthy);
            let case = format!("{policy} {healthy} of {desired}");
            assert_eq!(lets_unready_go(&budget, &pod("False")), goes, "{case}");
            assert!(!lets_unready_go(&budget, &pod("True")), "{case}");
        }
    }
}
