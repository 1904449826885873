//! Controllers that may do no more than their own roles say.

use std::sync::Arc;
use std::time::Duration;

use controllers::{CONTROLLERS, Clock, Context};
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ResourceQuota};
use kube::Api;
use kube::api::DeleteParams;
use mainstay_component_tests::{Faults, Instance, Scene, Start, World, with_rights_of};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use super::job::exits;
use crate::DONE;

/// Starts a controller of the table as its service account; informers are the whole process's.
fn as_itself(name: &str, clock: &Clock) -> impl Start + use<> {
    let found = CONTROLLERS.iter().find(|known| known.name == name);
    let controller = *found.unwrap();
    let clock = clock.clone();
    move |cx: Context| -> BoxFuture<'static, ()> {
        let mut cx = with_rights_of(controller.service_account, cx);
        cx.clock = clock;
        let options = Arc::make_mut(&mut cx.options);
        options.root_ca = Some("certificates".to_owned());
        options.namespace_deletion_pause = Duration::ZERO;
        (controller.start)(cx)
    }
}

async fn tells(scene: &Scene, used: Value) {
    wait_until(&format!("{used} is used"), DONE, async || {
        let quota = scene.api::<ResourceQuota>().get("all").await.unwrap();
        let status = serde_json::to_value(quota.status).unwrap();
        (status["used"] == used).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_cron_job_runs_and_everything_goes_again_by_what_the_roles_allow() {
    let world = World::start().await;
    let clock = Clock::default();
    let _running = [
        "namespace-controller",
        "serviceaccount-controller",
        "root-ca-certificate-publisher-controller",
        "garbage-collector-controller",
        "job-controller",
        "cronjob-controller",
        "ttl-after-finished-controller",
        "resourcequota-controller",
    ]
    .map(|name| {
        let start = as_itself(name, &clock);
        Instance::start(&world.config, start, Faults::default())
    });
    let scene = world.scene().await;
    wait_until("the certificates are there", DONE, async || {
        let maps = scene.api::<ConfigMap>();
        maps.get_opt("kube-root-ca.crt").await.unwrap()
    })
    .await;
    let hard = json!({"pods": "3", "count/jobs.batch": "3"});
    let quota = json!({"metadata": {"name": "all"}, "spec": {"hard": hard}});
    let _: ResourceQuota = scene.create(quota).await;
    tells(&scene, json!({"pods": "0", "count/jobs.batch": "0"})).await;
    let job = json!({"ttlSecondsAfterFinished": 0, "template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}});
    let cron_job = json!({"metadata": {"name": "tick"},
        "spec": {"schedule": "@hourly", "jobTemplate": {"spec": job}}});
    let _: CronJob = scene.create(cron_job).await;
    clock.set_ahead(SignedDuration::from_hours(1));
    let nudge = json!({"metadata": {"annotations": {"nudge": "1"}}});
    let _: CronJob = scene.patch("tick", nudge).await;
    let pod = wait_until("the job has its pod", DONE, async || {
        scene.live_pods().await.pop()
    })
    .await;
    tells(&scene, json!({"pods": "1", "count/jobs.batch": "1"})).await;
    exits(&scene, &pod, 0).await;
    wait_until("the job and its pod are gone", DONE, async || {
        let left = (scene.list::<Job>().await, scene.list::<Pod>().await);
        (left.0.is_empty() && left.1.is_empty()).then_some(())
    })
    .await;
    tells(&scene, json!({"pods": "0", "count/jobs.batch": "0"})).await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let name = &*scene.namespace;
    let how = DeleteParams::default();
    namespaces.delete(name, &how).await.unwrap();
    wait_until("the namespace is gone", DONE, async || {
        let found = namespaces.get_opt(name).await.unwrap();
        found.is_none().then_some(())
    })
    .await;
}
