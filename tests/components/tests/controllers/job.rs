//! Jobs, whose pods are counted once each: neither twice nor not at all.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use controllers::{Context, jobs, ttl_after_finished};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PropagationPolicy, WatchEvent, WatchParams};
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Scene, World};
use mainstay_tests::wait_until;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::DONE;

pub(crate) fn start(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(jobs(cx))
}

/// A job named `sum` with these fields beside its template.
pub(crate) fn manifest(fields: Value) -> Value {
    let mut job = json!({
        "metadata": {"name": "sum"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}},
    });
    for (name, value) in fields.as_object().unwrap() {
        match (name.as_str(), value) {
            ("restartPolicy", policy) => {
                job["spec"]["template"]["spec"]["restartPolicy"] = policy.clone();
            }
            (name, value) => job["spec"][name] = value.clone(),
        }
    }
    job
}

/// Plays the kubelet: the container came to its end long ago, so that nothing has to wait for that.
pub(crate) async fn exits(scene: &Scene, pod: &Pod, code: i32) {
    let phase = if code == 0 { "Succeeded" } else { "Failed" };
    let ended = json!({"exitCode": code, "finishedAt": "2026-01-01T00:00:00Z"});
    let container = json!({"name": "c", "image": "busybox", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"terminated": ended}});
    let status = json!({"status": {"phase": phase, "containerStatuses": [container]}});
    scene.pod_status(pod, status).await;
}

pub(crate) fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status.and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

/// The completion that a pod of an indexed job is for.
pub(crate) fn index(pod: &Pod) -> Option<i32> {
    let labels = pod.metadata.labels.as_ref()?;
    let index = labels.get("batch.kubernetes.io/job-completion-index")?;
    index.parse().ok()
}

pub(crate) async fn running(scene: &Scene) -> Vec<Pod> {
    let mut pods = scene.live_pods().await;
    pods.retain(|pod| !matches!(phase(pod), "Succeeded" | "Failed"));
    pods
}

/// Waits for this many pods that have not come to their ends.
async fn has_running(scene: &Scene, count: usize) -> Vec<Pod> {
    wait_until(&format!("{count} pods run"), DONE, async || {
        let pods = running(scene).await;
        (pods.len() == count).then_some(pods)
    })
    .await
}

/// The status once it holds all of `expected`; what that says is null must be missing.
pub(crate) async fn tells(scene: &Scene, expected: Value) -> Value {
    let mut last = Value::Null;
    wait_until(&format!("the job tells {expected}"), DONE, async || {
        let job = scene.api::<Job>().get("sum").await.unwrap();
        let status = serde_json::to_value(job.status).unwrap();
        let mut fields = expected.as_object().unwrap().iter();
        let told = fields.all(|(name, value)| status[name] == *value);
        if last != status {
            tracing::debug!(%status, "job");
            last = status.clone();
        }
        told.then_some(status)
    })
    .await
}

/// The conditions that are true, in their order.
pub(crate) fn conditions(status: &Value) -> Vec<&str> {
    let all = status["conditions"].as_array().into_iter().flatten();
    let all = all.filter(|condition| condition["status"] == "True");
    all.filter_map(|condition| condition["type"].as_str())
        .collect()
}

async fn completes(scene: &Scene, expected: Value) {
    wait_until("the job is complete", DONE, async || {
        let job = scene.api::<Job>().get("sum").await.unwrap();
        let status = serde_json::to_value(job.status).unwrap();
        conditions(&status).contains(&"Complete").then_some(())
    })
    .await;
    let status = tells(scene, expected).await;
    assert_eq!(conditions(&status), ["SuccessCriteriaMet", "Complete"]);
    assert!(status["completionTime"].is_string() && status["startTime"].is_string());
    assert_eq!(status["uncountedTerminatedPods"], json!({}), "{status}");
    for pod in scene.list::<Pod>().await {
        assert_eq!(pod.metadata.finalizers, None, "counted, and let go");
    }
}

#[tokio::test]
async fn an_indexed_job_counts_each_pod_once_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let writes = ended_after_every_write(&world, start, async |scene| {
        let fields = json!({"completions": 3, "parallelism": 2, "completionMode": "Indexed"});
        let _: Job = scene.create(manifest(fields)).await;
        let first = has_running(scene, 2).await;
        let indexes: BTreeSet<_> = first.iter().filter_map(index).collect();
        assert_eq!(indexes, BTreeSet::from([0, 1]));
        for pod in &first {
            let succeeds = index(pod) == Some(0);
            exits(scene, pod, if succeeds { 0 } else { 1 }).await;
        }
        let second = wait_until("the others run", DONE, async || {
            let pods = running(scene).await;
            assert!(pods.len() <= 2, "no more than two at a time");
            let indexes: BTreeSet<_> = pods.iter().filter_map(index).collect();
            (indexes == BTreeSet::from([1, 2])).then_some(pods)
        })
        .await;
        for pod in &second {
            exits(scene, pod, 0).await;
        }
        completes(
            scene,
            json!({"succeeded": 3, "failed": 1, "completedIndexes": "0-2",
                "active": null, "ready": 0, "terminating": 0}),
        )
        .await;
        assert_eq!(scene.list::<Pod>().await.len(), 4);
    })
    .await;
    assert!(writes >= 10, "four pods, four let go, statuses: {writes}");
}

#[tokio::test]
async fn pods_that_vanish_are_counted_once_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let writes = ended_after_every_write(&world, start, async |scene| {
        let fields = json!({"completions": 2, "parallelism": 2});
        let _: Job = scene.create(manifest(fields)).await;
        let now = DeleteParams::default().grace_period(0);
        let pods = has_running(scene, 2).await;
        let name = |pod: &Pod| pod.metadata.name.clone().unwrap();
        // One is deleted after its success, the other one without any end.
        exits(scene, &pods[0], 0).await;
        let api = scene.api::<Pod>();
        for pod in &pods {
            api.delete(&name(pod), &now).await.unwrap();
        }
        for pod in has_running(scene, 1).await {
            exits(scene, &pod, 0).await;
        }
        completes(scene, json!({"succeeded": 2, "failed": 1})).await;
        assert_eq!(scene.list::<Pod>().await.len(), 1);
    })
    .await;
    assert!(writes >= 8, "three pods, three let go, statuses: {writes}");
}

#[tokio::test]
async fn a_controller_that_sees_no_pods_for_a_while_makes_none_twice_and_counts_all() {
    let world = World::start().await;
    let scene = world.scene().await;
    let instance = Instance::start(&world.config, start, Faults::default());
    instance.faults.blind("pods");
    let fields = json!({"completions": 4, "parallelism": 3, "backoffLimit": 9});
    let _: Job = scene.create(manifest(fields)).await;
    let pods = has_running(&scene, 3).await;
    // It is told of the job again and again, and knows that its pods are behind.
    for round in 0..5 {
        let label = json!({"metadata": {"labels": {"round": round.to_string()}}});
        let _: Job = scene.patch("sum", label).await;
    }
    exits(&scene, &pods[0], 0).await;
    exits(&scene, &pods[1], 1).await;
    assert_eq!(scene.list::<Pod>().await.len(), 3, "none was made twice");
    instance.faults.see("pods");
    tells(&scene, json!({"succeeded": 1, "failed": 1, "active": 3})).await;
    let pods = has_running(&scene, 3).await;
    instance.faults.blind("pods");
    for pod in &pods {
        exits(&scene, pod, 0).await;
    }
    // Their ends are never told: a list shows them later.
    instance.faults.miss("pods");
    completes(&scene, json!({"succeeded": 4, "failed": 1})).await;
    drop(instance);
    writes_nothing_more(&world, start).await;
}

#[tokio::test]
async fn a_controller_whose_jobs_are_old_counts_no_pod_twice() {
    let world = World::start().await;
    let scene = world.scene().await;
    let instance = Instance::start(&world.config, start, Faults::default());
    let fields = json!({"completions": 5, "parallelism": 2, "backoffLimit": 9});
    let _: Job = scene.create(manifest(fields)).await;
    let pods = has_running(&scene, 2).await;
    tells(&scene, json!({"active": 2})).await;
    instance.idle().await;
    // From here on it does not see what it writes itself, and acts on the job as it was.
    instance.faults.blind("jobs");
    exits(&scene, &pods[0], 0).await;
    tells(&scene, json!({"succeeded": 1})).await;
    for pod in running(&scene).await {
        exits(&scene, &pod, 1).await;
    }
    instance.idle().await;
    let job = scene.api::<Job>().get("sum").await.unwrap();
    assert_eq!(job.status.unwrap().succeeded, Some(1), "still one");
    instance.faults.see("jobs");
    for _ in 0..2 {
        for pod in has_running(&scene, 2).await {
            exits(&scene, &pod, 0).await;
        }
    }
    completes(&scene, json!({"succeeded": 5})).await;
    let pods = scene.list::<Pod>().await;
    let ended = |wanted: &str| pods.iter().filter(|pod| phase(pod) == wanted).count();
    let failed = i64::try_from(ended("Failed")).unwrap();
    assert_eq!(ended("Succeeded"), 5);
    tells(&scene, json!({"succeeded": 5, "failed": failed})).await;
}

#[tokio::test]
async fn two_controllers_count_what_one_counts() {
    let world = World::start().await;
    let scene = world.scene().await;
    let pods = Arc::new(Mutex::new(BTreeSet::new()));
    let following = follow_pods(&scene, Arc::clone(&pods));
    let _both = [0, 1].map(|_| Instance::start(&world.config, start, Faults::default()));
    let fields = json!({"completions": 4, "parallelism": 4, "backoffLimit": 99});
    let _: Job = scene.create(manifest(fields)).await;
    let mut ended = 0;
    wait_until("the job is complete", DONE, async || {
        for pod in running(&scene).await {
            // The first four fail.
            exits(&scene, &pod, i32::from(ended < 4)).await;
            ended += 1;
        }
        let job = scene.api::<Job>().get("sum").await.unwrap();
        let status = serde_json::to_value(job.status).unwrap();
        conditions(&status).contains(&"Complete").then_some(())
    })
    .await;
    let job = scene.api::<Job>().get("sum").await.unwrap();
    let status = job.status.unwrap();
    let counted = status.succeeded.unwrap_or(0) + status.failed.unwrap_or(0);
    following.abort();
    // Together they may make some too many, which are deleted and have failed; one that the other made when the job was
    // complete already is not counted any more. None is counted twice.
    let seen = pods.lock().unwrap().len();
    let counted = usize::try_from(counted).unwrap();
    assert!(counted <= seen, "{counted} of {seen}: {status:?}");
    assert!(status.succeeded >= Some(4), "{status:?}");
    assert!(status.failed >= Some(4), "{status:?}");
}

/// Notes the uids of all pods there ever are.
pub(crate) fn follow_pods(scene: &Scene, pods: Arc<Mutex<BTreeSet<String>>>) -> JoinHandle<()> {
    let api = scene.api::<Pod>();
    tokio::spawn(async move {
        let params = WatchParams::default();
        let events = api.watch(&params, "0").await.unwrap();
        let mut events = events.boxed();
        while let Some(event) = events.next().await {
            if let Ok(WatchEvent::Added(pod)) = event {
                pods.lock().unwrap().insert(pod.metadata.uid.unwrap());
            }
        }
    })
}

#[tokio::test]
async fn a_suspended_job_has_no_pods_and_its_time_begins_anew_when_it_is_resumed() {
    let world = World::start().await;
    let scene = world.scene().await;
    let instance = Instance::start(&world.config, start, Faults::default());
    // One pod: what is deleted counts as failed, as upstream, and two failures are a pause of 20 s.
    let fields = json!({"parallelism": 1, "completions": 1, "suspend": true});
    let _: Job = scene.create(manifest(fields)).await;
    let suspended = |status: &Value| {
        let condition = &status["conditions"][0];
        let of = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
        (of("type"), of("status"), of("reason"))
    };
    let status = tells(&scene, json!({"startTime": null, "ready": 0})).await;
    let text = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(
        suspended(&status),
        text("Suspended", "True", "JobSuspended")
    );
    assert!(scene.list::<Pod>().await.is_empty());
    let suspend = async |suspend: bool| {
        let _: Job = scene
            .patch("sum", json!({"spec": {"suspend": suspend}}))
            .await;
    };
    suspend(false).await;
    for pod in has_running(&scene, 1).await {
        scene.runs(&pod, true).await;
    }
    let status = tells(&scene, json!({"active": 1, "ready": 1})).await;
    assert_eq!(suspended(&status), text("Suspended", "False", "JobResumed"));
    assert!(status["startTime"].is_string());
    suspend(true).await;
    wait_until("its pods are gone", DONE, async || {
        scene.list::<Pod>().await.is_empty().then_some(())
    })
    .await;
    let status = tells(
        &scene,
        json!({"active": null, "ready": 0, "terminating": 0}),
    )
    .await;
    assert_eq!(conditions(&status), ["Suspended"]);
    suspend(false).await;
    for pod in has_running(&scene, 1).await {
        exits(&scene, &pod, 0).await;
    }
    completes(&scene, json!({"succeeded": 1})).await;
    drop(instance);
    writes_nothing_more(&world, start).await;
}

#[tokio::test]
async fn a_pod_is_replaced_when_it_goes_or_when_it_has_gone_as_the_job_wishes() {
    let world = World::start().await;
    let _instance = Instance::start(&world.config, start, Faults::default());
    for (policy, replaced) in [("TerminatingOrFailed", true), ("Failed", false)] {
        let scene = world.scene().await;
        let fields = json!({"podReplacementPolicy": policy, "parallelism": 1});
        let _: Job = scene.create(manifest(fields)).await;
        let pod = has_running(&scene, 1).await.remove(0);
        // Somebody else holds it up.
        let hold = json!({"metadata": {"finalizers":
            ["batch.kubernetes.io/job-tracking", "example.com/hold"]}});
        let name = pod.metadata.name.clone().unwrap();
        let _: Pod = scene.patch(&name, hold).await;
        let how = DeleteParams::default();
        scene.api::<Pod>().delete(&name, &how).await.unwrap();
        match replaced {
            true => {
                tells(&scene, json!({"failed": 1, "active": 1, "terminating": 1})).await;
            }
            false => {
                tells(
                    &scene,
                    json!({"active": null, "terminating": 1, "failed": null}),
                )
                .await;
                assert!(running(&scene).await.is_empty(), "{policy}");
                exits(&scene, &pod, 1).await;
                tells(&scene, json!({"failed": 1, "active": 1, "terminating": 0})).await;
            }
        }
    }
}

#[tokio::test]
async fn a_job_that_is_deleted_lets_its_pods_go() {
    let world = World::start().await;
    let scene = world.scene().await;
    let instance = Instance::start(&world.config, start, Faults::default());
    let _: Job = scene.create(manifest(json!({"parallelism": 2}))).await;
    has_running(&scene, 2).await;
    let how = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    scene.api::<Job>().delete("sum", &how).await.unwrap();
    wait_until("the pods are free", DONE, async || {
        let pods = scene.list::<Pod>().await;
        assert_eq!(pods.len(), 2, "to delete them is not the job's");
        let free = |pod: &Pod| pod.metadata.finalizers.is_none();
        pods.iter().all(free).then_some(())
    })
    .await;
    drop(instance);
    let instance = Instance::start(&world.config, start, Faults::default());
    let _: Job = scene.create(manifest(json!({}))).await;
    // Those of another job of the same name are not its own.
    has_running(&scene, 3).await;
    tells(&scene, json!({"active": 1})).await;
    // The pod and one status.
    assert_eq!(instance.faults.writes(), 2);
}

#[tokio::test]
async fn a_job_with_a_manager_of_its_own_is_left_alone() {
    let world = World::start().await;
    let scene = world.scene().await;
    let instance = Instance::start(&world.config, start, Faults::default());
    let _: Job = scene
        .create(manifest(json!({"managedBy": "example.com/queue"})))
        .await;
    instance.idle().await;
    assert_eq!(instance.faults.writes(), 0);
    assert!(scene.list::<Pod>().await.is_empty());
}

fn start_ttl(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(ttl_after_finished(cx))
}

#[tokio::test]
async fn a_job_goes_when_its_time_after_the_end_is_over() {
    let world = World::start().await;
    let scene = world.scene().await;
    let _jobs = Instance::start(&world.config, start, Faults::default());
    let instance = Instance::start(&world.config, start_ttl, Faults::default());
    let fields = json!({"ttlSecondsAfterFinished": 100, "parallelism": 1});
    let _: Job = scene.create(manifest(fields)).await;
    for pod in has_running(&scene, 1).await {
        exits(&scene, &pod, 0).await;
    }
    completes(&scene, json!({"succeeded": 1})).await;
    assert_eq!(instance.faults.writes(), 0, "it has 100 seconds");
    // Told while it does not look, and never told at all.
    instance.faults.blind("jobs");
    let shorter = json!({"spec": {"ttlSecondsAfterFinished": 0}});
    let _: Job = scene.patch("sum", shorter).await;
    instance.faults.miss("jobs");
    wait_until("the job is being deleted", DONE, async || {
        let job = scene.api::<Job>().get("sum").await.unwrap();
        job.metadata.deletion_timestamp?;
        assert_eq!(
            job.metadata.finalizers,
            Some(vec!["foregroundDeletion".to_owned()]),
            "with its pods"
        );
        Some(())
    })
    .await;
    assert_eq!(instance.faults.writes(), 1);
}
