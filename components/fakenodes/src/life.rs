//! What a pod does next, and when. Pure: time is passed in.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition};

use crate::annotations::{ENDS_AFTER, EXIT_CODE, READY_AFTER, START_AFTER};
use crate::options::Options;

/// One step in the life of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its containers run.
    Start {
        ready: bool,
    },
    BecomeReady,
    /// Its containers ended and are started again.
    Restart {
        exit_code: i32,
    },
    /// Its containers ended for good.
    End {
        exit_code: i32,
    },
    /// The kubelet lets go of it.
    Remove,
}

/// What containers that are told to end answer with: 128 and SIGTERM.
const TERMINATED: i32 = 143;

/// The next step and the time until it is due.
pub(crate) fn next(pod: &Pod, options: &Options, now: Timestamp) -> Option<(Step, Duration)> {
    let (step, due) = step(pod, options, now)?;
    let wait = Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO);
    Some((step, wait))
}

fn step(pod: &Pod, options: &Options, now: Timestamp) -> Option<(Step, Timestamp)> {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    let ended = matches!(phase, Some("Succeeded" | "Failed"));
    if let Some(at) = &pod.metadata.deletion_timestamp {
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        let asked = at.0 - SignedDuration::from_secs(grace);
        let stops = after(asked, options.stops_after).min(at.0);
        return Some(match (ended, phase) {
            // Nothing ran, nothing has to end.
            (true, _) | (_, None | Some("Pending")) => (Step::Remove, stops),
            _ => (
                Step::End {
                    exit_code: TERMINATED,
                },
                stops,
            ),
        });
    }
    if ended {
        return None;
    }
    let since = pod.status.as_ref().and_then(|s| s.start_time.as_ref());
    let Some(started) = since.map(|time| time.0) else {
        let bound = condition(pod, "PodScheduled").and_then(|c| c.last_transition_time.as_ref());
        let bound = bound.or(pod.metadata.creation_timestamp.as_ref());
        let bound = bound.map_or(now, |time| time.0);
        let start = said(pod, START_AFTER).unwrap_or(Some(options.start_after))?;
        let ready = ready_after(pod, options) == Some(Duration::ZERO);
        return Some((Step::Start { ready }, after(bound, start)));
    };
    let ready = condition(pod, "Ready").is_some_and(|c| c.status == "True");
    let readiness = ready_after(pod, options).filter(|_| !ready);
    let readiness = readiness.map(|wait| (Step::BecomeReady, after(started, wait)));
    let end = end(pod, options, started);
    [readiness, end]
        .into_iter()
        .flatten()
        .min_by_key(|(_, due)| *due)
}

fn end(pod: &Pod, options: &Options, started: Timestamp) -> Option<(Step, Timestamp)> {
    let policy = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref());
    let always = policy.unwrap_or("Always") == "Always";
    let default = (!always).then_some(options.ends_after);
    let lasts = said(pod, ENDS_AFTER).unwrap_or(default)?;
    let exit_code = annotation(pod, EXIT_CODE).and_then(|code| code.parse().ok());
    let exit_code = exit_code.unwrap_or_else(|| i32::from(fails(pod, options)));
    let again = always || (policy == Some("OnFailure") && exit_code != 0);
    if !again {
        return Some((Step::End { exit_code }, after(started, lasts)));
    }
    // Each run lasts as long as the first, with a second between them at least.
    let runs = u32::try_from(restarts(pod) + 1).unwrap_or(u32::MAX);
    let all = lasts.max(Duration::from_secs(1)).saturating_mul(runs);
    Some((Step::Restart { exit_code }, after(started, all)))
}

/// The same for a pod whenever it is asked: chance decides by its uid.
fn fails(pod: &Pod, options: &Options) -> bool {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    // FNV-1a, then its upper half as a share of all there are.
    let hash = uid.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let share = f64::from((hash >> 32) as u32) / (f64::from(u32::MAX) + 1.0);
    share < options.failure_rate
}

fn ready_after(pod: &Pod, options: &Options) -> Option<Duration> {
    said(pod, READY_AFTER).unwrap_or(Some(options.ready_after))
}

pub(crate) fn restarts(pod: &Pod) -> i32 {
    let containers = pod
        .status
        .as_ref()
        .and_then(|s| s.container_statuses.as_deref());
    let counts = containers
        .unwrap_or_default()
        .iter()
        .map(|c| c.restart_count);
    counts.max().unwrap_or(0)
}

pub(crate) fn condition<'a>(pod: &'a Pod, name: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == name)
}

fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata
        .annotations
        .as_ref()?
        .get(name)
        .map(String::as_str)
}

/// A duration that an annotation says: `Some(None)` is never, `None` that it says nothing that can be read.
fn said(pod: &Pod, name: &str) -> Option<Option<Duration>> {
    match annotation(pod, name)? {
        "never" => Some(None),
        text => {
            let duration: SignedDuration = text.parse().ok()?;
            Duration::try_from(duration).ok().map(Some)
        }
    }
}

fn after(time: Timestamp, wait: Duration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: &str = "2026-01-01T00:01:00Z";

    fn decide(pod: Value) -> Option<(Step, u128)> {
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        let now = NOW.parse().expect("a time");
        let next = next(&pod, &Options::default(), now);
        next.map(|(step, wait)| (step, wait.as_millis()))
    }

    fn pod(policy: &str, annotations: Value, status: Value) -> Value {
        json!({
            "metadata": {"creationTimestamp": NOW, "annotations": annotations},
            "spec": {"restartPolicy": policy, "containers": []},
            "status": status,
        })
    }

    fn running(ready: bool, restarts: i32) -> Value {
        let ready = if ready { "True" } else { "False" };
        json!({
            "phase": "Running", "startTime": NOW,
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true,
                "restartCount": restarts}],
        })
    }

    #[test]
    fn lives() {
        let none = || json!({});
        let ends = |after: &str, code: &str| json!({ENDS_AFTER: after, EXIT_CODE: code});
        let cases = [
            (
                "is started",
                pod("Always", none(), json!({})),
                Some((Step::Start { ready: true }, 200)),
            ),
            (
                "is started late and not ready at once",
                pod(
                    "Always",
                    json!({START_AFTER: "3s", READY_AFTER: "1m"}),
                    json!({}),
                ),
                Some((Step::Start { ready: false }, 3000)),
            ),
            (
                "is never started",
                pod("Always", json!({START_AFTER: "never"}), json!({})),
                None,
            ),
            (
                "becomes ready",
                pod("Always", json!({READY_AFTER: "2s"}), running(false, 0)),
                Some((Step::BecomeReady, 2000)),
            ),
            (
                "never becomes ready",
                pod("Always", json!({READY_AFTER: "never"}), running(false, 0)),
                None,
            ),
            (
                "runs for ever",
                pod("Always", none(), running(true, 0)),
                None,
            ),
            (
                "ends by itself",
                pod("Never", none(), running(true, 0)),
                Some((Step::End { exit_code: 0 }, 1000)),
            ),
            (
                "fails",
                pod("Never", ends("500ms", "3"), running(true, 0)),
                Some((Step::End { exit_code: 3 }, 500)),
            ),
            (
                "fails and is started again",
                pod("OnFailure", ends("2s", "1"), running(true, 1)),
                Some((Step::Restart { exit_code: 1 }, 4000)),
            ),
            (
                "ends well and is not started again",
                pod("OnFailure", ends("2s", "0"), running(true, 1)),
                Some((Step::End { exit_code: 0 }, 2000)),
            ),
            (
                "is at its end",
                pod("Never", none(), json!({"phase": "Failed"})),
                None,
            ),
        ];
        for (name, pod, expected) in cases {
            assert_eq!(decide(pod), expected, "{name}");
        }
    }

    #[test]
    fn some_pods_fail_and_always_the_same_ones() {
        let options = Options {
            failure_rate: 0.25,
            ..Options::default()
        };
        let mut pod: Pod =
            serde_json::from_value(pod("Never", json!({}), running(true, 0))).expect("a pod");
        let mut failed = 0;
        for number in 0..1_000 {
            pod.metadata.uid = Some(format!("0b1c-{number}"));
            let now = NOW.parse().expect("a time");
            let first = next(&pod, &options, now);
            assert_eq!(first, next(&pod, &options, now));
            failed += i32::from(matches!(first, Some((Step::End { exit_code: 1 }, _))));
        }
        assert!((200..300).contains(&failed), "{failed}");
    }

    #[test]
    fn ends_when_deleted() {
        let deleted = |grace: i64, status: Value| {
            let mut pod = pod("Always", json!({}), status);
            let at: Timestamp = NOW.parse().expect("a time");
            let at = at + SignedDuration::from_secs(grace);
            pod["metadata"]["deletionTimestamp"] = json!(at.to_string());
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
            decide(pod)
        };
        let ends = Step::End {
            exit_code: TERMINATED,
        };
        assert_eq!(deleted(30, running(true, 0)), Some((ends, 200)));
        assert_eq!(deleted(0, running(true, 0)), Some((ends, 0)));
        assert_eq!(deleted(30, json!({})), Some((Step::Remove, 200)));
        let over = json!({"phase": "Succeeded"});
        assert_eq!(deleted(30, over), Some((Step::Remove, 200)));
    }
}
