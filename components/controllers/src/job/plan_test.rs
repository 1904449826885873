//! What a job does about its pods.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::backoff::Failures;
use super::plan::Plan;
use super::round::Round;
use super::spec::{COMPLETION_INDEX, INDEX_FAILURES, Spec, TRACKING};

const NOW: &str = "2026-01-01T01:00:00Z";

fn job(spec: Value, status: Value) -> Job {
    let mut all = json!({"template": {}, "parallelism": 1});
    for (name, value) in spec.as_object().expect("an object") {
        all[name] = value.clone();
    }
    let job = json!({
        "metadata": {"name": "j", "namespace": "ns"}, "spec": all, "status": status,
    });
    serde_json::from_value(job).expect("a job")
}

/// `phase`, `phase/index`, `phase/index/failures before`, with `-` before it if it is being deleted.
fn pod(at: usize, text: &str) -> Pod {
    let deleted = text.starts_with('-').then_some("2026-01-01T00:59:00Z");
    let mut parts = text.trim_start_matches('-').split('/');
    let phase = parts.next().unwrap_or_default();
    let mut annotations = json!({});
    for (name, value) in [COMPLETION_INDEX, INDEX_FAILURES].iter().zip(parts) {
        annotations[name] = json!(value);
    }
    let code = i32::from(phase == "Failed");
    let pod = json!({
        "metadata": {"name": format!("p{at}"), "uid": format!("p{at}"), "namespace": "ns",
            "finalizers": [TRACKING], "annotations": annotations, "deletionTimestamp": deleted},
        "status": {"phase": phase, "containerStatuses": [{"name": "c", "image": "", "imageID": "",
            "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "finishedAt": "2026-01-01T00:30:00Z"}}}]},
    });
    serde_json::from_value(pod).expect("a pod")
}

/// What a round decides, in words.
fn decided(job: &Job, pods: &[&str]) -> String {
    let pods: Vec<Pod> = pods
        .iter()
        .enumerate()
        .map(|(at, text)| pod(at, text))
        .collect();
    let pods: Vec<&Pod> = pods.iter().collect();
    let now: Timestamp = NOW.parse().expect("a time");
    let spec = Spec::of(job).expect("a spec");
    let round = Round::new(spec, &pods, Failures::default(), now);
    if let Some(end) = round.end() {
        return format!("ends: {}", end.reason);
    }
    match round.seen().plan() {
        Plan::Nothing => match round.completion(round.active.len()) {
            Some(end) => format!("ends: {}", end.reason),
            None => "nothing".to_owned(),
        },
        Plan::Wait(pause) => format!("waits {} s", pause.as_secs()),
        Plan::Delete(pods) => {
            let names = pods.iter().filter_map(|pod| pod.metadata.name.as_deref());
            format!("deletes {}", names.collect::<Vec<_>>().join(" "))
        }
        Plan::Create(count) => format!("creates {count}"),
        Plan::CreateFor(indexes) => format!("creates for {indexes:?}"),
    }
}

#[test]
fn a_job_has_as_many_pods_as_it_needs() {
    for (spec, status, pods, expected) in [
        (
            json!({"completions": 3, "parallelism": 2}),
            json!({}),
            &[][..],
            "creates 2",
        ),
        (
            json!({"completions": 3, "parallelism": 2}),
            json!({"succeeded": 2}),
            &[],
            "creates 1",
        ),
        (
            json!({"completions": 3, "parallelism": 2}),
            json!({}),
            &["Succeeded", "Running"],
            "creates 1",
        ),
        (
            json!({"completions": 2, "parallelism": 3}),
            json!({}),
            &["Running"; 3],
            "deletes p0",
        ),
        (
            json!({"completions": 1}),
            json!({"succeeded": 1}),
            &[],
            "ends: CompletionsReached",
        ),
        (
            json!({"completions": 1}),
            json!({}),
            &["Succeeded"],
            "ends: CompletionsReached",
        ),
        // A queue of work: one success, and no more are made.
        (json!({"parallelism": 3}), json!({}), &[], "creates 3"),
        (
            json!({"parallelism": 3}),
            json!({}),
            &["Succeeded", "Running"],
            "nothing",
        ),
        (
            json!({"parallelism": 3}),
            json!({}),
            &["Succeeded"],
            "ends: CompletionsReached",
        ),
        // Suspended.
        (
            json!({"completions": 2, "suspend": true}),
            json!({}),
            &[],
            "nothing",
        ),
        (
            json!({"completions": 2, "suspend": true}),
            json!({}),
            &["Running"],
            "deletes p0",
        ),
        // A pod that is being deleted is replaced at once, unless only failed ones are.
        (
            json!({"completions": 1}),
            json!({}),
            &["-Running"],
            "creates 1",
        ),
        (
            json!({"completions": 1, "podReplacementPolicy": "Failed"}),
            json!({}),
            &["-Running"],
            "nothing",
        ),
    ] {
        let job = job(spec.clone(), status);
        assert_eq!(decided(&job, pods), expected, "{spec} with {pods:?}");
    }
}

#[test]
fn an_indexed_job_has_one_pod_for_each_index() {
    let indexed = |more: Value| {
        let mut spec = json!({"completionMode": "Indexed", "completions": 4, "parallelism": 3});
        for (name, value) in more.as_object().expect("an object") {
            spec[name] = value.clone();
        }
        spec
    };
    let limit = || indexed(json!({"backoffLimitPerIndex": 1}));
    for (spec, status, pods, expected) in [
        (
            indexed(json!({})),
            json!({}),
            &[][..],
            "creates for [0, 1, 2]",
        ),
        (
            indexed(json!({})),
            json!({"completedIndexes": "1"}),
            &["Running/0"],
            "creates for [2, 3]",
        ),
        (
            indexed(json!({})),
            json!({}),
            &["Running/0", "Running/0"],
            "deletes p0",
        ),
        (
            indexed(json!({})),
            json!({}),
            &["Running/7", "Running/0"],
            "deletes p0",
        ),
        (
            indexed(json!({})),
            json!({"completedIndexes": "0-2"}),
            &["Succeeded/3"],
            "ends: CompletionsReached",
        ),
        // Failures of one index do not hold up the others.
        (limit(), json!({}), &["Failed/1/0"], "creates for [0, 1, 2]"),
        (limit(), json!({}), &["Failed/1/1"], "creates for [0, 2, 3]"),
        (
            limit(),
            json!({"completedIndexes": "0,2,3"}),
            &["Failed/1/1"],
            "ends: FailedIndexes",
        ),
        (
            indexed(json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 1})),
            json!({"failedIndexes": "0"}),
            &["Failed/1/0"],
            "ends: MaxFailedIndexesExceeded",
        ),
        (
            indexed(json!({"successPolicy": {"rules": [{"succeededIndexes": "2"}]}})),
            json!({}),
            &["Running/0", "Succeeded/2"],
            "ends: SuccessPolicy",
        ),
    ] {
        let job = job(spec.clone(), status);
        assert_eq!(decided(&job, pods), expected, "{spec} with {pods:?}");
    }
}

#[test]
fn a_job_fails_by_the_first_rule_that_is_broken() {
    let policy = |action: &str| {
        json!({"completions": 1, "backoffLimit": 0, "podFailurePolicy": {"rules": [
            {"action": action, "onExitCodes": {"operator": "In", "values": [1]}}]}})
    };
    let started = json!({"startTime": "2026-01-01T00:00:00Z"});
    for (spec, status, pods, expected) in [
        (
            json!({"completions": 1, "backoffLimit": 1}),
            json!({}),
            &["Failed"][..],
            "creates 1",
        ),
        (
            json!({"completions": 1, "backoffLimit": 1}),
            json!({"failed": 1}),
            &["Failed"],
            "ends: BackoffLimitExceeded",
        ),
        (
            json!({"completions": 1, "backoffLimit": 0}),
            json!({"uncountedTerminatedPods": {"failed": ["p0"]}}),
            &["Failed"],
            "ends: BackoffLimitExceeded",
        ),
        (
            policy("FailJob"),
            json!({}),
            &["Failed"],
            "ends: PodFailurePolicy",
        ),
        (policy("Ignore"), json!({}), &["Failed"], "creates 1"),
        (
            policy("Count"),
            json!({}),
            &["Failed"],
            "ends: BackoffLimitExceeded",
        ),
        (
            json!({"completions": 1, "activeDeadlineSeconds": 3600}),
            started.clone(),
            &["Running"],
            "ends: DeadlineExceeded",
        ),
        (
            json!({"completions": 1, "activeDeadlineSeconds": 3601}),
            started,
            &["Running"],
            "nothing",
        ),
        (
            json!({"completions": 1}),
            json!({"conditions": [{"type": "FailureTarget", "status": "True", "reason": "X"}]}),
            &["Running"],
            "ends: X",
        ),
    ] {
        let job = job(spec.clone(), status);
        assert_eq!(decided(&job, pods), expected, "{spec} with {pods:?}");
    }
}
