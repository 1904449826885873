//! What a kubelet would tell of a pod after a step.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::life::{Step, condition, restarts};

/// The part of the status that a step changes; `address` is the pod's own.
pub(crate) fn after(pod: &Pod, step: Step, host: &str, address: &str, now: Timestamp) -> Value {
    let now = seconds(now);
    match step {
        Step::Start { ready } => json!({
            "phase": "Running",
            "startTime": now,
            "hostIP": host,
            "hostIPs": [{"ip": host}],
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": conditions(pod, ready, None, &now),
            "initContainerStatuses": init_containers(pod, &now),
            "containerStatuses": containers(pod, ready, 0, &running(&now)),
        }),
        Step::BecomeReady => json!({
            "conditions": conditions(pod, true, None, &now),
            "containerStatuses": containers(pod, true, restarts(pod), &running(&now)),
        }),
        Step::Restart { exit_code: _ } => json!({
            "containerStatuses": containers(pod, true, restarts(pod) + 1, &running(&now)),
        }),
        Step::End { exit_code } => {
            let phase = if exit_code == 0 {
                "Succeeded"
            } else {
                "Failed"
            };
            let why = if exit_code == 0 {
                "PodCompleted"
            } else {
                "PodFailed"
            };
            json!({
                "phase": phase,
                "conditions": conditions(pod, false, Some(why), &now),
                "containerStatuses": containers(pod, false, restarts(pod), &ended(pod, exit_code, &now)),
            })
        }
        Step::Remove => json!({}),
    }
}

/// Times in objects have no fractions.
fn seconds(now: Timestamp) -> String {
    let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
    whole.to_string()
}

fn conditions(pod: &Pod, ready: bool, why: Option<&str>, now: &str) -> Value {
    let text = |yes: bool| if yes { "True" } else { "False" };
    let one = |name: &str, yes: bool| {
        let same = condition(pod, name).filter(|old| old.status == text(yes));
        let since = same.and_then(|old| old.last_transition_time.as_ref());
        let since = since.map_or_else(|| now.to_owned(), |time| seconds(time.0));
        let reason = why.filter(|_| !yes);
        json!({"type": name, "status": text(yes), "lastTransitionTime": since, "reason": reason})
    };
    let runs = why.is_none();
    json!([
        one("PodReadyToStartContainers", runs),
        one("Initialized", true),
        one("Ready", ready),
        one("ContainersReady", ready),
    ])
}

fn running(now: &str) -> Value {
    json!({"running": {"startedAt": now}})
}

fn ended(pod: &Pod, exit_code: i32, now: &str) -> Value {
    let started = pod
        .status
        .as_ref()
        .and_then(|status| status.start_time.as_ref());
    let reason = if exit_code == 0 { "Completed" } else { "Error" };
    json!({"terminated": {
        "exitCode": exit_code, "reason": reason, "finishedAt": now,
        "startedAt": started.map_or_else(|| now.to_owned(), |time| seconds(time.0)),
    }})
}

fn containers(pod: &Pod, ready: bool, restarts: i32, state: &Value) -> Value {
    let spec = pod.spec.as_ref();
    let all = spec
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    let told = all.iter().map(|container| {
        let image = container.image.as_deref().unwrap_or_default();
        json!({
            "name": container.name, "image": image, "imageID": format!("fake://{image}"),
            "containerID": format!("fake://{}-{restarts}", container.name),
            "ready": ready, "started": ready, "restartCount": restarts, "state": state,
        })
    });
    told.collect()
}

fn init_containers(pod: &Pod, now: &str) -> Value {
    let spec = pod.spec.as_ref();
    let all = spec.and_then(|spec| spec.init_containers.as_deref());
    let told = all.unwrap_or_default().iter().map(|container| {
        let image = container.image.as_deref().unwrap_or_default();
        // Those that are always started again run beside the others.
        let state = match container.restart_policy.as_deref() {
            Some("Always") => running(now),
            _ => ended(pod, 0, now),
        };
        json!({
            "name": container.name, "image": image, "imageID": format!("fake://{image}"),
            "ready": true, "started": true, "restartCount": 0, "state": state,
        })
    });
    told.collect()
}
