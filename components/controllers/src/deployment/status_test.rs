use std::sync::Arc;

use super::*;
use serde_json::{Value, json};

/// Replicas asked for, and of the status: there, ready, available.
fn set(name: &str, asked: i32, status: [i32; 3], conditions: &Value) -> Arc<ReplicaSet> {
    let [replicas, ready, available] = status;
    let set = json!({
        "metadata": {"name": name},
        "spec": {"replicas": asked, "selector": {}},
        "status": {"replicas": replicas, "readyReplicas": ready, "availableReplicas": available,
            "terminatingReplicas": 1, "conditions": conditions},
    });
    Arc::new(serde_json::from_value(set).expect("a replica set"))
}

fn deployment(status: &Value) -> Deployment {
    let deployment = json!({
        "metadata": {"name": "web", "generation": 2},
        "spec": {"replicas": 3, "progressDeadlineSeconds": 600, "selector": {}, "template": {},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}},
        "status": status,
    });
    serde_json::from_value(deployment).expect("a deployment")
}

fn progressing(status: &str, reason: &str, at: &str) -> Value {
    json!({"type": "Progressing", "status": status, "reason": reason, "message": "",
        "lastUpdateTime": at, "lastTransitionTime": at})
}

fn told(deployment: &Deployment, sets: &Sets, now: &str) -> DeploymentStatus {
    let seen = Seen {
        deployment,
        bounds: &Bounds::of(deployment),
        sets,
        now: now.parse().expect("a time"),
    };
    seen.rollout_status()
}

const START: &str = "2026-01-01T00:00:00Z";

#[test]
fn pods_of_all_sets_are_counted_and_those_of_the_new_one_are_updated() {
    let sets = Sets {
        new: Some(set("new", 2, [2, 1, 1], &json!([]))),
        old: vec![set("old", 2, [3, 2, 2], &json!([]))],
    };
    let status = told(&deployment(&json!({})), &sets, START);
    let counts = [
        status.replicas,
        status.updated_replicas,
        status.ready_replicas,
        status.available_replicas,
        status.unavailable_replicas,
        status.terminating_replicas,
    ];
    assert_eq!(counts, [5, 2, 3, 3, 1, 2].map(Some));
    assert_eq!(status.observed_generation, Some(2));
    let available = get(&status, AVAILABLE).expect("it is always told");
    assert!(has_reason(Some(available), "MinimumReplicasAvailable"));
}

#[test]
fn progress_is_told_with_upstreams_reasons() {
    let counted = |replicas: i32, updated: i32, available: i32, condition: Value| {
        json!({"replicas": replicas, "updatedReplicas": updated, "readyReplicas": available,
            "availableReplicas": available, "conditions": [condition]})
    };
    let new = progressing("True", reason::NEW_SET, START);
    let moving = progressing("True", reason::SET_UPDATED, START);
    let done = progressing("True", reason::SET_AVAILABLE, START);
    let late = progressing("False", reason::TIMED_OUT, START);
    let soon = "2026-01-01T00:05:00Z";
    let after = "2026-01-01T00:10:01Z";
    // What was told before; new and old set; when; reason, message and time of the last update afterwards.
    let cases = [
        (
            "nothing yet",
            counted(3, 0, 3, new.clone()),
            [1, 0, 0],
            3,
            soon,
            (
                reason::SET_UPDATED,
                "ReplicaSet \"new\" is progressing.",
                soon,
            ),
        ),
        (
            "no progress",
            counted(4, 1, 3, new.clone()),
            [1, 0, 0],
            3,
            soon,
            (reason::NEW_SET, "", START),
        ),
        (
            "again some",
            counted(4, 1, 3, moving.clone()),
            [1, 1, 1],
            3,
            soon,
            (
                reason::SET_UPDATED,
                "ReplicaSet \"new\" is progressing.",
                soon,
            ),
        ),
        (
            "too late",
            counted(4, 1, 3, moving),
            [1, 0, 0],
            3,
            after,
            (
                reason::TIMED_OUT,
                "ReplicaSet \"new\" has timed out progressing.",
                after,
            ),
        ),
        (
            "still too late",
            counted(4, 1, 3, late.clone()),
            [1, 0, 0],
            3,
            after,
            (reason::TIMED_OUT, "", START),
        ),
        (
            "late, but it goes on",
            counted(4, 1, 3, late),
            [2, 0, 0],
            2,
            after,
            (
                reason::SET_UPDATED,
                "ReplicaSet \"new\" is progressing.",
                after,
            ),
        ),
        (
            "complete",
            counted(4, 3, 3, new),
            [3, 3, 3],
            0,
            soon,
            (
                reason::SET_AVAILABLE,
                "ReplicaSet \"new\" has successfully progressed.",
                soon,
            ),
        ),
        (
            "a pod of a complete one dies",
            counted(3, 3, 3, done),
            [3, 2, 2],
            0,
            after,
            (reason::SET_AVAILABLE, "", START),
        ),
    ];
    for (what, before, new, old, now, (reason, message, updated)) in cases {
        let sets = Sets {
            new: Some(set("new", new[0], new, &json!([]))),
            old: vec![set("old", old, [old, old, old], &json!([]))],
        };
        let status = told(&deployment(&before), &sets, now);
        let condition = get(&status, PROGRESSING).expect("it is told");
        assert_eq!(condition.reason.as_deref(), Some(reason), "{what}");
        assert_eq!(condition.message.as_deref(), Some(message), "{what}");
        let time = condition.last_update_time.as_ref().map(|time| time.0);
        assert_eq!(time, updated.parse().ok(), "{what}");
    }
}

#[test]
fn a_failure_of_the_new_set_is_told_as_long_as_it_lasts() {
    let failed = |message: &str| {
        json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": message, "lastTransitionTime": START}])
    };
    let mut sets = Sets {
        new: Some(set("new", 1, [0, 0, 0], &failed("quota"))),
        old: vec![set("old", 3, [3, 3, 3], &failed("other"))],
    };
    let status = told(&deployment(&json!({})), &sets, START);
    let failure = get(&status, REPLICA_FAILURE).expect("it failed");
    assert_eq!(failure.message.as_deref(), Some("quota"));
    let before = deployment(&json!(status));
    sets.new = Some(set("new", 1, [1, 1, 1], &json!([])));
    sets.old = Vec::new();
    assert!(get(&told(&before, &sets, START), REPLICA_FAILURE).is_none());
}

#[test]
fn without_a_deadline_nothing_is_said_about_progress() {
    let before = json!({"conditions": [progressing("True", reason::NEW_SET, START)]});
    let mut of = deployment(&before);
    let spec = of.spec.as_mut().expect("it has one");
    spec.progress_deadline_seconds = Some(i32::MAX);
    assert!(get(&told(&of, &Sets::default(), START), PROGRESSING).is_none());
}
