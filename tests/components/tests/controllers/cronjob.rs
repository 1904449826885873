//! Cron jobs, by a clock of their own.

use controllers::{Clock, Context, cron_jobs};
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Event;
use kube::api::{DeleteParams, Patch, PatchParams};
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Scene, Start, World};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

fn with(clock: &Clock) -> impl Start + use<> {
    let clock = clock.clone();
    move |mut cx: Context| -> BoxFuture<'static, ()> {
        cx.clock = clock;
        Box::pin(cron_jobs(cx))
    }
}

/// A controller at work, with a clock that can be set.
async fn one_runs() -> (World, Clock, Scene, Instance) {
    let (world, clock) = (World::start().await, Clock::default());
    let scene = world.scene().await;
    let instance = Instance::start(&world.config, with(&clock), Faults::default());
    (world, clock, scene, instance)
}

/// No more is to come of this one.
async fn goes(scene: &Scene) {
    let api = scene.api::<CronJob>();
    let params = DeleteParams::background();
    api.delete("tick", &params).await.unwrap();
}

/// The minute of every hour that is half an hour away from now: tests take less than that.
fn schedule() -> String {
    let minute = (Timestamp::now().as_second() / 60 + 30) % 60;
    format!("{minute} * * * *")
}

fn manifest(fields: Value) -> Value {
    let mut job = json!({
        "metadata": {"name": "tick"},
        "spec": {"schedule": schedule(), "jobTemplate": {
            "metadata": {"labels": {"app": "tick"}, "annotations": {"a": "b"}},
            "spec": {"template": {"spec": {"restartPolicy": "Never",
                "containers": [{"name": "c", "image": "busybox"}]}}}}},
    });
    for (name, value) in fields.as_object().unwrap() {
        job["spec"][name] = value.clone();
    }
    job
}

/// `hours` starts are over after this.
fn after(hours: i64) -> SignedDuration {
    SignedDuration::from_mins(60 * hours - 25)
}

/// Something happens to the cron job, so that it is looked at.
async fn nudge(scene: &Scene, clock: &Clock) {
    let now = clock.now().to_string();
    let patch = json!({"metadata": {"annotations": {"now": now}}});
    let _: CronJob = scene.patch("tick", patch).await;
}

async fn at(scene: &Scene, clock: &Clock, hours: i64) {
    clock.set_ahead(after(hours));
    nudge(scene, clock).await;
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap()
}

async fn has_jobs(scene: &Scene, count: usize) -> Vec<Job> {
    wait_until(&format!("{count} jobs"), DONE, async || {
        let mut jobs = scene.list::<Job>().await;
        jobs.retain(|job| job.metadata.deletion_timestamp.is_none());
        (jobs.len() == count).then_some(jobs)
    })
    .await
}

async fn status(scene: &Scene) -> Value {
    let job = scene.api::<CronJob>().get("tick").await.unwrap();
    serde_json::to_value(job.status.unwrap_or_default()).unwrap()
}

fn active(status: &Value) -> Vec<&str> {
    let all = status["active"].as_array().into_iter().flatten();
    all.filter_map(|job| job["name"].as_str()).collect()
}

async fn tells_active(scene: &Scene, jobs: &[&str]) -> Value {
    wait_until(&format!("{jobs:?} are active"), DONE, async || {
        let status = status(scene).await;
        (active(&status) == jobs).then_some(status)
    })
    .await
}

async fn event(scene: &Scene, reason: &str) -> Event {
    wait_until(&format!("the event {reason}"), DONE, async || {
        let events = scene.list::<Event>().await;
        let mut events = events.into_iter();
        events.find(|event| event.reason.as_deref() == Some(reason))
    })
    .await
}

/// Plays the controller of jobs.
async fn ends(scene: &Scene, job: &str, succeeded: bool) {
    let end = match succeeded {
        true => ["SuccessCriteriaMet", "Complete"],
        false => ["FailureTarget", "Failed"],
    };
    let time = "2026-01-01T00:00:10Z";
    let conditions = end.map(|type_| {
        json!({"type": type_, "status": "True", "lastTransitionTime": time, "lastProbeTime": time})
    });
    let mut status = json!({"startTime": "2026-01-01T00:00:00Z", "conditions": conditions});
    if succeeded {
        status["completionTime"] = json!(time);
    }
    let patch = Patch::Merge(json!({ "status": status }));
    let params = PatchParams::default();
    let api = scene.api::<Job>();
    api.patch_status(job, &params, &patch).await.unwrap();
}

#[tokio::test]
async fn each_start_has_one_job_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let clock = Clock::default();
    let writes = ended_after_every_write(&world, with(&clock), async |scene| {
        clock.set_ahead(SignedDuration::ZERO);
        let limits = json!({"successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1});
        let _: CronJob = scene.create(manifest(limits)).await;
        at(scene, &clock, 1).await;
        let first = has_jobs(scene, 1).await.remove(0);
        let minute = clock.now().as_second() / 60 - 5;
        let names = [minute, minute - 1].map(|minute| format!("tick-{minute}"));
        assert!(names.iter().any(|own| own == name(&first)), "{first:?}");
        let told = tells_active(scene, &[name(&first)]).await;
        let scheduled = first.metadata.annotations.as_ref().unwrap()[SCHEDULED].clone();
        let last: Timestamp = told["lastScheduleTime"].as_str().unwrap().parse().unwrap();
        assert_eq!(scheduled.parse::<Timestamp>().unwrap(), last);
        assert_eq!(format!("tick-{}", last.as_second() / 60), name(&first));
        let labels = first.metadata.labels.as_ref().unwrap();
        assert_eq!(labels["app"], "tick");
        let owner = &first.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.controller),
            ("CronJob", Some(true))
        );
        ends(scene, name(&first), true).await;
        let told = tells_active(scene, &[]).await;
        assert_eq!(told["lastSuccessfulTime"], "2026-01-01T00:00:10Z");
        at(scene, &clock, 2).await;
        let second = has_jobs(scene, 2).await;
        let second = second.iter().find(|job| name(job) != name(&first)).unwrap();
        tells_active(scene, &[name(second)]).await;
        ends(scene, name(second), true).await;
        // The older one goes.
        let left = has_jobs(scene, 1).await;
        assert_eq!(name(&left[0]), name(second));
        tells_active(scene, &[]).await;
    })
    .await;
    assert!(
        writes >= 7,
        "two jobs, four statuses, one deletion: {writes}"
    );
}

/// Whether another start is made while one is active, and what becomes of that.
#[tokio::test]
async fn starts_that_overlap_are_as_the_policy_says() {
    let world = World::start().await;
    for policy in ["Allow", "Forbid", "Replace"] {
        let clock = Clock::default();
        let scene = world.scene().await;
        let instance = Instance::start(&world.config, with(&clock), Faults::default());
        let fields = json!({"concurrencyPolicy": policy});
        let _: CronJob = scene.create(manifest(fields)).await;
        at(&scene, &clock, 1).await;
        let first = has_jobs(&scene, 1).await.remove(0);
        tells_active(&scene, &[name(&first)]).await;
        at(&scene, &clock, 2).await;
        match policy {
            "Allow" => {
                let both = has_jobs(&scene, 2).await;
                tells_active(&scene, &[name(&both[0]), name(&both[1])]).await;
            }
            "Forbid" => {
                event(&scene, "JobAlreadyActive").await;
                has_jobs(&scene, 1).await;
                // Late, but not too late.
                ends(&scene, name(&first), true).await;
                has_jobs(&scene, 2).await;
            }
            _ => {
                wait_until("the first is replaced", DONE, async || {
                    let jobs = scene.list::<Job>().await;
                    let alive = |job: &&Job| job.metadata.deletion_timestamp.is_none();
                    let alive: Vec<_> = jobs.iter().filter(alive).collect();
                    (alive.len() == 1 && name(alive[0]) != name(&first)).then_some(())
                })
                .await;
            }
        }
        drop(instance);
        goes(&scene).await;
    }
}

#[tokio::test]
async fn starts_that_were_missed_are_made_good_once_and_not_too_late() {
    let world = World::start().await;
    // Beside the schedule; hours that nobody looks; jobs; an event.
    for (fields, hours, jobs, told) in [
        (json!({}), 3, 1, Some("SuccessfulCreate")),
        // Five minutes too late, by half an hour and by nothing.
        (json!({"startingDeadlineSeconds": 1800}), 3, 1, None),
        (json!({"startingDeadlineSeconds": 60}), 3, 0, None),
        (json!({"suspend": true}), 3, 0, None),
        (
            json!({"schedule": "* * * * *"}),
            3,
            1,
            Some("TooManyMissedTimes"),
        ),
        (
            json!({"schedule": "* * * * *", "startingDeadlineSeconds": 600}),
            3,
            1,
            None,
        ),
    ] {
        let clock = Clock::default();
        let scene = world.scene().await;
        let _: CronJob = scene.create(manifest(fields.clone())).await;
        clock.set_ahead(after(hours));
        let instance = Instance::start(&world.config, with(&clock), Faults::default());
        let made = has_jobs(&scene, jobs).await;
        if let Some(reason) = told {
            event(&scene, reason).await;
        }
        instance.idle().await;
        assert_eq!(scene.list::<Job>().await.len(), jobs, "{fields}");
        for job in &made {
            let scheduled = &job.metadata.annotations.as_ref().unwrap()[SCHEDULED];
            let late = clock.now().duration_since(scheduled.parse().unwrap());
            assert!(late < SignedDuration::from_mins(7), "the last one: {late}");
        }
        if fields["suspend"] == true {
            let _: CronJob = scene
                .patch("tick", json!({"spec": {"suspend": false}}))
                .await;
            has_jobs(&scene, 1).await;
        }
        drop(instance);
        goes(&scene).await;
    }
}

#[tokio::test]
async fn old_jobs_go_by_their_ends() {
    let (world, clock, scene, instance) = one_runs().await;
    let limits = json!({"successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 0});
    let _: CronJob = scene.create(manifest(limits)).await;
    let mut kept: Vec<String> = Vec::new();
    for (hour, succeeds) in [(1, true), (2, false), (3, true), (4, true)] {
        at(&scene, &clock, hour).await;
        let jobs = has_jobs(&scene, kept.len() + 1).await;
        let new = jobs
            .iter()
            .map(name)
            .find(|own| !kept.iter().any(|k| k == own));
        let new = new.unwrap().to_owned();
        tells_active(&scene, &[&new]).await;
        ends(&scene, &new, succeeds).await;
        kept.extend(succeeds.then_some(new));
        if kept.len() > 2 {
            kept.remove(0);
        }
        let left = has_jobs(&scene, kept.len()).await;
        let left: Vec<_> = left.iter().map(name).collect();
        assert_eq!(left, kept);
    }
    instance.idle().await;
    drop(instance);
    writes_nothing_more(&world, with(&clock)).await;
}

#[tokio::test]
async fn a_time_is_told_in_the_zone_of_the_cron_job() {
    let (_world, clock, scene, _instance) = one_runs().await;
    // Half an hour off the others': what is half past there is full here.
    let fields = json!({"timeZone": "Asia/Kolkata", "schedule": "30 5 * * *"});
    let _: CronJob = scene.create(manifest(fields)).await;
    let day = SignedDuration::from_hours(24);
    clock.set_ahead(day);
    nudge(&scene, &clock).await;
    let job = has_jobs(&scene, 1).await.remove(0);
    let scheduled = &job.metadata.annotations.as_ref().unwrap()[SCHEDULED];
    assert!(scheduled.ends_with("T05:30:00+05:30"), "{scheduled}");
    let at: Timestamp = scheduled.parse().unwrap();
    assert_eq!(
        at.as_second() % (24 * 3600),
        0,
        "midnight in the middle of the world"
    );
}

#[tokio::test]
async fn a_controller_that_does_not_see_its_jobs_starts_none_twice() {
    let (_world, clock, scene, instance) = one_runs().await;
    let fields = json!({"concurrencyPolicy": "Forbid"});
    let _: CronJob = scene.create(manifest(fields)).await;
    instance.idle().await;
    instance.faults.blind("jobs");
    at(&scene, &clock, 1).await;
    let first = has_jobs(&scene, 1).await.remove(0);
    tells_active(&scene, &[name(&first)]).await;
    for _ in 0..3 {
        nudge(&scene, &clock).await;
    }
    at(&scene, &clock, 2).await;
    event(&scene, "JobAlreadyActive").await;
    assert_eq!(scene.list::<Job>().await.len(), 1);
    // It ends and goes, and neither is ever told.
    ends(&scene, name(&first), true).await;
    let api = scene.api::<Job>();
    let now = DeleteParams::background();
    api.delete(name(&first), &now).await.unwrap();
    instance.faults.miss("jobs");
    nudge(&scene, &clock).await;
    let second = has_jobs(&scene, 1).await.remove(0);
    assert_ne!(name(&second), name(&first));
    tells_active(&scene, &[name(&second)]).await;
}

#[tokio::test]
async fn a_controller_whose_cron_jobs_are_old_starts_none_twice() {
    let (world, clock, scene, instance) = one_runs().await;
    let _: CronJob = scene.create(manifest(json!({}))).await;
    instance.idle().await;
    // It does not see its own statuses: the start that it has made seems still to be due.
    instance.faults.blind("cronjobs");
    clock.set_ahead(after(1));
    let other = Instance::start(&world.config, with(&clock), Faults::default());
    let first = has_jobs(&scene, 1).await.remove(0);
    tells_active(&scene, &[name(&first)]).await;
    drop(other);
    let label = json!({"metadata": {"labels": {"round": "1"}}});
    let _: Job = scene.patch(name(&first), label).await;
    instance.idle().await;
    ends(&scene, name(&first), true).await;
    instance.faults.see("cronjobs");
    tells_active(&scene, &[]).await;
    assert_eq!(scene.list::<Job>().await.len(), 1);
    drop(instance);
    writes_nothing_more(&world, with(&clock)).await;
}

#[tokio::test]
async fn jobs_that_others_made_are_told_of_and_left_alone() {
    let (_world, clock, scene, instance) = one_runs().await;
    let cron_job: CronJob = scene.create(manifest(json!({}))).await;
    let owner = json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick",
        "uid": cron_job.metadata.uid, "controller": true});
    let mut by_hand = manifest(json!({}))["spec"]["jobTemplate"].clone();
    // As kubectl create job --from=cronjob/tick does.
    by_hand["metadata"] = json!({"name": "by-hand", "ownerReferences": [owner],
        "annotations": {"cronjob.kubernetes.io/instantiate": "manual"}});
    let _: Job = scene.create(by_hand).await;
    event(&scene, "UnexpectedJob").await;
    assert_eq!(instance.faults.writes(), 0);
    at(&scene, &clock, 1).await;
    let jobs = has_jobs(&scene, 2).await;
    let own = jobs.iter().map(name).find(|own| *own != "by-hand").unwrap();
    tells_active(&scene, &[own]).await;
    let api = scene.api::<Job>();
    api.delete(own, &DeleteParams::background()).await.unwrap();
    event(&scene, "MissingJob").await;
    tells_active(&scene, &[]).await;
}
