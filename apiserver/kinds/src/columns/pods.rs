//! The cells of pods. The status cell puts what the containers do into one word.

use super::cells::{NONE, is_true, or};
use crate::time::{human_duration, parse_millis};
use crate::value::{at, flag, has, int, list, text};
use serde_json::Value;

/// Set by the node controller on pods of nodes it cannot reach.
const NODE_LOST: &str = "NodeLost";

/// What the statuses of a pod's containers add up to.
#[derive(Default)]
struct Summary {
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<i64>,
    reason: String,
}

/// Restarts and the time of the last.
#[derive(Default, Clone, Copy)]
struct Restarts {
    count: i64,
    last: Option<i64>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += int(status, "restartCount");
        let ended = text(status, "lastState.terminated.finishedAt");
        self.last = self.last.max(parse_millis(ended));
    }
}

pub(super) fn ready(pod: &Value, _: i64) -> Value {
    let summary = summarize(pod);
    format!("{}/{}", summary.ready, summary.total).into()
}

pub(super) fn status(pod: &Value, _: i64) -> Value {
    summarize(pod).reason.into()
}

pub(super) fn restarts(pod: &Value, now_millis: i64) -> Value {
    let summary = summarize(pod);
    match summary.last_restart {
        Some(last) if summary.restarts != 0 => {
            let ago = human_duration(now_millis.saturating_sub(last));
            format!("{} ({ago} ago)", summary.restarts).into()
        }
        _ => summary.restarts.to_string().into(),
    }
}

pub(super) fn address(pod: &Value, _: i64) -> Value {
    let first = list(pod, "status.podIPs").first();
    or(first.map_or("", |address| text(address, "ip")), NONE).into()
}

pub(super) fn readiness_gates(pod: &Value, _: i64) -> Value {
    let gates = list(pod, "spec.readinessGates");
    if gates.is_empty() {
        return NONE.into();
    }
    let open = gates
        .iter()
        .filter(|gate| is_true(pod, text(gate, "conditionType")))
        .count();
    format!("{open}/{}", gates.len()).into()
}

fn summarize(pod: &Value) -> Summary {
    let mut summary = Summary {
        total: list(pod, "spec.containers").len()
            + list(pod, "spec.initContainers")
                .iter()
                .filter(|c| is_sidecar(c))
                .count(),
        reason: or(text(pod, "status.reason"), text(pod, "status.phase")).to_owned(),
        ..Summary::default()
    };
    let gated = |condition: &Value| {
        text(condition, "type") == "PodScheduled" && text(condition, "reason") == "SchedulingGated"
    };
    if list(pod, "status.conditions").iter().any(gated) {
        "SchedulingGated".clone_into(&mut summary.reason);
    }
    let (sidecars, initializing) = initialization(pod, &mut summary);
    if !initializing || is_true(pod, "Initialized") {
        summary.restarts = sidecars.count;
        summary.last_restart = sidecars.last;
        running(pod, &mut summary);
    }
    if has(pod, "metadata.deletionTimestamp") {
        let ended = matches!(text(pod, "status.phase"), "Failed" | "Succeeded");
        if text(pod, "status.reason") == NODE_LOST {
            "Unknown".clone_into(&mut summary.reason);
        } else if !ended {
            "Terminating".clone_into(&mut summary.reason);
        }
    }
    summary
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "restartPolicy") == "Always"
}

/// Goes through the init containers up to the first that has not done its part. Returns the restarts
/// of sidecars, and whether the pod is still being initialized.
fn initialization(pod: &Value, summary: &mut Summary) -> (Restarts, bool) {
    let containers = list(pod, "spec.initContainers");
    let mut all = Restarts::default();
    let mut sidecars = Restarts::default();
    let mut waits_for = None;
    for (index, status) in list(pod, "status.initContainerStatuses").iter().enumerate() {
        let same_name = |container: &&Value| text(container, "name") == text(status, "name");
        let sidecar = containers.iter().find(same_name).is_some_and(is_sidecar);
        all.add(status);
        if sidecar {
            sidecars.add(status);
        }
        let terminated = at(status, "state.terminated");
        if terminated.is_some_and(|end| int(end, "exitCode") == 0) {
            continue;
        }
        if sidecar && flag(status, "started") {
            summary.ready += usize::from(flag(status, "ready"));
            continue;
        }
        waits_for = Some(match (terminated, text(status, "state.waiting.reason")) {
            (Some(end), _) => format!("Init:{}", end_reason(end)),
            (None, "" | "PodInitializing") => format!("Init:{index}/{}", containers.len()),
            (None, reason) => format!("Init:{reason}"),
        });
        break;
    }
    summary.restarts = all.count;
    summary.last_restart = all.last;
    let initializing = waits_for.is_some();
    if let Some(reason) = waits_for {
        summary.reason = reason;
    }
    (sidecars, initializing)
}

fn end_reason(end: &Value) -> String {
    match (text(end, "reason"), int(end, "signal")) {
        ("", 0) => format!("ExitCode:{}", int(end, "exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// Goes through the containers; the first of them has the last word.
fn running(pod: &Value, summary: &mut Summary) {
    let mut restarts = Restarts {
        count: summary.restarts,
        last: summary.last_restart,
    };
    let mut some_run = false;
    let mut failure = None;
    for status in list(pod, "status.containerStatuses").iter().rev() {
        restarts.add(status);
        let waiting = text(status, "state.waiting.reason");
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if let Some(end) = at(status, "state.terminated") {
            summary.reason = end_reason(end);
            if int(end, "exitCode") != 0 {
                failure = Some(summary.reason.clone());
            }
        } else if flag(status, "ready") && has(status, "state.running") {
            some_run = true;
            summary.ready += 1;
        }
    }
    summary.restarts = restarts.count;
    summary.last_restart = restarts.last;
    if summary.reason == "Completed" {
        if some_run && is_true(pod, "Ready") {
            "Running".clone_into(&mut summary.reason);
        } else if let Some(failure) = failure {
            summary.reason = failure;
        } else if some_run {
            "NotReady".clone_into(&mut summary.reason);
        }
    }
}
