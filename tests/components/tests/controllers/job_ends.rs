//! What jobs come to: limits, policies and deadlines.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Scene, World};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use super::job::{conditions, exits, follow_pods, index, manifest, phase, start};
use crate::DONE;

/// What happens to a pod.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Exits(i32),
    /// Fails because its node was taken from it.
    Disrupted,
    /// Runs, and its container was started again this often.
    Restarts(i32),
    Runs,
}
use Fate::{Disrupted, Exits, Restarts, Runs};

struct Case {
    what: &'static str,
    /// Beside the template.
    fields: Value,
    /// For each pod in turn, by index if the job has such; further ones run.
    pods: Vec<(Option<i32>, Fate)>,
    /// Type, reason and a part of the message of the condition it ends with.
    end: [&'static str; 3],
    status: Value,
}

async fn meets(scene: &Scene, pod: &Pod, fate: Fate) {
    match fate {
        Exits(code) => exits(scene, pod, code).await,
        Disrupted => {
            let condition =
                json!({"type": "DisruptionTarget", "status": "True", "reason": "Eviction"});
            let status = json!({"status": {"conditions": [condition]}});
            scene.pod_status(pod, status).await;
            exits(scene, pod, 137).await;
        }
        Restarts(count) => {
            let container = json!({"name": "c", "image": "busybox", "imageID": "", "ready": false,
                "restartCount": count, "state": {"running": {}}});
            let status = json!({"status": {"phase": "Running", "containerStatuses": [container]}});
            scene.pod_status(pod, status).await;
        }
        Runs => scene.runs(pod, true).await,
    }
}

/// Plays the pods until the job has ended.
async fn plays(scene: &Scene, case: &Case) -> Value {
    let mut fates = case.pods.clone();
    let mut met = HashSet::new();
    let number = |name: &str, default: u64| case.fields[name].as_u64().unwrap_or(default);
    let parallel = number("parallelism", 1);
    let first = parallel.min(number("completions", parallel));
    wait_until(case.what, DONE, async || {
        let pods = scene.live_pods().await;
        // Nothing happens before all of the first ones are there.
        if met.is_empty() && u64::try_from(pods.len()).unwrap() < first {
            return None;
        }
        for pod in pods {
            if phase(&pod) != "Pending" || !met.insert(pod.metadata.uid.clone()) {
                continue;
            }
            let at = fates.iter().position(|(own, _)| *own == index(&pod));
            let fate = at.map_or(Runs, |at| fates.remove(at).1);
            meets(scene, &pod, fate).await;
        }
        let job = scene.api::<Job>().get("sum").await.unwrap();
        let status = serde_json::to_value(job.status).unwrap();
        let ends = ["Complete", "Failed"];
        let ended = conditions(&status).iter().any(|type_| ends.contains(type_));
        ended.then_some(status)
    })
    .await
}

async fn ends_as_told(scene: &Scene, case: &Case) {
    let pods = Arc::default();
    let following = follow_pods(scene, Arc::clone(&pods));
    let _: Job = scene.create(manifest(case.fields.clone())).await;
    let status = plays(scene, case).await;
    following.abort();
    let [type_, reason, message] = case.end;
    let before = match type_ {
        "Complete" => "SuccessCriteriaMet",
        _ => "FailureTarget",
    };
    let what = case.what;
    assert_eq!(conditions(&status), [before, type_], "{what}: {status}");
    let all = status["conditions"].as_array().unwrap();
    for condition in all.iter().filter(|c| c["status"] == "True") {
        assert_eq!(condition["reason"], reason, "{what}: {condition}");
        let text = condition["message"].as_str().unwrap();
        assert!(text.contains(message), "{what}: {condition}");
    }
    for (name, value) in case.status.as_object().unwrap() {
        assert_eq!(status[name], *value, "{what}: {name} of {status}");
    }
    for (name, value) in [
        ("active", Value::Null),
        ("terminating", json!(0)),
        ("ready", json!(0)),
    ] {
        assert_eq!(status[name], value, "{what}: {name} of {status}");
    }
    assert_eq!(
        status["uncountedTerminatedPods"],
        json!({}),
        "{what}: {status}"
    );
    if type_ == "Failed" && !case.pods.iter().any(|(_, fate)| matches!(fate, Disrupted)) {
        let counted = |name: &str| status[name].as_u64().unwrap_or(0);
        let counted = counted("succeeded") + counted("failed");
        let all = pods.lock().unwrap().len();
        assert_eq!(counted, u64::try_from(all).unwrap(), "{what}: {status}");
    }
    for pod in scene.list::<Pod>().await {
        assert_eq!(pod.metadata.finalizers, None, "{what}");
        assert_ne!(phase(&pod), "Running", "{what}: nothing is left to run");
    }
}

fn limits() -> Vec<Case> {
    let limit = "Job has reached the specified backoff limit";
    vec![
        Case {
            what: "the second failure is one too many",
            fields: json!({"backoffLimit": 1, "parallelism": 3, "completions": 3}),
            pods: vec![(None, Exits(1)), (None, Runs), (None, Exits(2))],
            end: ["Failed", "BackoffLimitExceeded", limit],
            // The one that ran failed with its job.
            status: json!({"succeeded": null}),
        },
        Case {
            what: "containers that are started again count",
            fields: json!({"backoffLimit": 3, "restartPolicy": "OnFailure", "parallelism": 2}),
            pods: vec![(None, Restarts(2)), (None, Restarts(1))],
            end: ["Failed", "BackoffLimitExceeded", limit],
            status: json!({"failed": 2}),
        },
        Case {
            what: "no success within a second",
            fields: json!({"activeDeadlineSeconds": 1, "parallelism": 2}),
            pods: vec![(None, Runs), (None, Runs)],
            end: [
                "Failed",
                "DeadlineExceeded",
                "Job was active longer than specified deadline",
            ],
            status: json!({"failed": 2}),
        },
        Case {
            what: "one success is enough where no number is asked for, and all must have ended",
            fields: json!({"parallelism": 2}),
            pods: vec![(None, Exits(0)), (None, Exits(1))],
            end: [
                "Complete",
                "CompletionsReached",
                "Reached expected number of succeeded pods",
            ],
            status: json!({"succeeded": 1, "failed": 1}),
        },
        Case {
            what: "nothing to do",
            fields: json!({"completions": 0}),
            pods: vec![],
            end: [
                "Complete",
                "CompletionsReached",
                "Reached expected number of succeeded pods",
            ],
            status: json!({"succeeded": null, "failed": null}),
        },
    ]
}

fn failure_policies() -> Vec<Case> {
    let rules = json!({"rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "c", "operator": "In", "values": [42]}},
        {"action": "Count", "onExitCodes": {"operator": "In", "values": [1]}},
    ]});
    vec![
        Case {
            what: "an exit code fails the job",
            fields: json!({"podFailurePolicy": rules, "parallelism": 2, "completions": 2}),
            pods: vec![(None, Exits(42)), (None, Runs)],
            end: [
                "Failed",
                "PodFailurePolicy",
                "failed with exit code 42 matching FailJob rule at index 1",
            ],
            status: json!({"failed": 2}),
        },
        Case {
            what: "a disruption is no failure",
            fields: json!({"podFailurePolicy": rules, "backoffLimit": 0}),
            pods: vec![(None, Disrupted), (None, Exits(0))],
            end: ["Complete", "CompletionsReached", ""],
            status: json!({"failed": null, "succeeded": 1}),
        },
        Case {
            what: "a failure that counts",
            fields: json!({"podFailurePolicy": rules, "backoffLimit": 0}),
            pods: vec![(None, Disrupted), (None, Exits(1))],
            end: ["Failed", "BackoffLimitExceeded", ""],
            status: json!({"failed": 1}),
        },
    ]
}

fn indexes() -> Vec<Case> {
    let fields = |more: Value| {
        let mut fields = json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3});
        for (name, value) in more.as_object().unwrap() {
            fields[name] = value.clone();
        }
        fields
    };
    let give_up = json!({"rules": [
        {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [3]}}]});
    vec![
        Case {
            what: "an index that fails too often does not stop the others",
            fields: fields(json!({"backoffLimitPerIndex": 1})),
            pods: vec![
                (Some(0), Exits(0)),
                (Some(1), Exits(1)),
                (Some(1), Exits(1)),
                (Some(2), Exits(1)),
                (Some(2), Exits(0)),
            ],
            end: ["Failed", "FailedIndexes", "Job has failed indexes"],
            status: json!({"completedIndexes": "0,2", "failedIndexes": "1", "failed": 3, "succeeded": 2}),
        },
        Case {
            what: "too many indexes fail",
            fields: fields(json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 1})),
            pods: vec![
                (Some(0), Exits(0)),
                (Some(1), Exits(1)),
                (Some(2), Exits(1)),
            ],
            end: [
                "Failed",
                "MaxFailedIndexesExceeded",
                "Job has exceeded the specified maximal number of failed indexes",
            ],
            status: json!({"failedIndexes": "1,2", "failed": 2, "completedIndexes": "0"}),
        },
        Case {
            what: "an index is given up at once",
            fields: fields(json!({"backoffLimitPerIndex": 5, "podFailurePolicy": give_up})),
            pods: vec![
                (Some(0), Exits(0)),
                (Some(1), Exits(3)),
                (Some(2), Exits(0)),
            ],
            end: ["Failed", "FailedIndexes", "Job has failed indexes"],
            status: json!({"completedIndexes": "0,2", "failedIndexes": "1", "failed": 1}),
        },
        Case {
            what: "each index gets there in the end",
            fields: fields(json!({"backoffLimitPerIndex": 1})),
            pods: vec![
                (Some(0), Exits(1)),
                (Some(0), Exits(0)),
                (Some(1), Exits(0)),
                (Some(2), Exits(1)),
                (Some(2), Exits(0)),
            ],
            end: ["Complete", "CompletionsReached", ""],
            status: json!({"completedIndexes": "0-2", "failedIndexes": "", "failed": 2, "succeeded": 3}),
        },
        Case {
            what: "the leader is enough",
            fields: fields(json!({"successPolicy": {"rules": [{"succeededIndexes": "0"}]}})),
            pods: vec![(Some(0), Exits(0)), (Some(1), Runs), (Some(2), Runs)],
            end: ["Complete", "SuccessPolicy", "Matched rules at index 0"],
            status: json!({"completedIndexes": "0", "succeeded": 1}),
        },
        Case {
            what: "two of them are enough",
            fields: fields(json!({"successPolicy": {"rules": [
                {"succeededIndexes": "2"}, {"succeededIndexes": "0-1", "succeededCount": 2}]}})),
            pods: vec![(Some(0), Exits(0)), (Some(1), Exits(0)), (Some(2), Runs)],
            end: ["Complete", "SuccessPolicy", "Matched rules at index 1"],
            status: json!({"completedIndexes": "0,1", "succeeded": 2}),
        },
    ]
}

async fn all_end_as_told(cases: Vec<Case>) {
    let world = World::start().await;
    let instance = Instance::start(&world.config, start, Faults::default());
    let play = async |case: &Case| {
        let scene = world.scene().await;
        ends_as_told(&scene, case).await;
    };
    join_all(cases.iter().map(play)).await;
    instance.idle().await;
    drop(instance);
    writes_nothing_more(&world, start).await;
}

#[tokio::test]
async fn jobs_keep_to_their_limits() {
    all_end_as_told(limits()).await;
}

#[tokio::test]
async fn failed_pods_are_judged_by_the_policy() {
    all_end_as_told(failure_policies()).await;
}

#[tokio::test]
async fn indexes_fail_and_succeed_each_for_itself() {
    all_end_as_told(indexes()).await;
}

/// An end is decided first, then all pods go and are counted, and only then the job has ended.
#[tokio::test]
async fn a_job_fails_once_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let case = &failure_policies()[0];
    let writes = ended_after_every_write(&world, start, async |scene| {
        ends_as_told(scene, case).await;
    })
    .await;
    assert!(
        writes >= 7,
        "two pods made, one deleted, two let go, two ends: {writes}"
    );
}

#[tokio::test]
async fn indexes_keep_their_counts_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let case = &indexes()[0];
    let writes = ended_after_every_write(&world, start, async |scene| {
        ends_as_told(scene, case).await;
    })
    .await;
    assert!(
        writes >= 12,
        "five pods made and let go, and the ends: {writes}"
    );
}
