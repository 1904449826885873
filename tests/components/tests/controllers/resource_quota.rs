//! Quotas, and what is given back to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use controllers::{Context, resource_quotas};
use futures_util::future::{BoxFuture, join_all};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ResourceQuota, Service};
use kube::api::{DeleteParams, PostParams};
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Scene, World};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

fn start(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(resource_quotas(cx))
}

fn quota(hard: Value) -> Value {
    json!({"metadata": {"name": "all"}, "spec": {"hard": hard}})
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"terminationGracePeriodSeconds": 0,
        "containers": [{"name": "c", "image": "busybox",
            "resources": {"requests": {"cpu": "250m"}}}]}})
}

/// Waits until exactly this is used, of exactly these bounds.
async fn tells(scene: &Scene, hard: Value, used: Value) {
    let mut last = Value::Null;
    wait_until(&format!("{used} of {hard} is used"), DONE, async || {
        let quota = scene.api::<ResourceQuota>().get("all").await.unwrap();
        last = serde_json::to_value(quota.status).unwrap();
        (last["hard"] == hard && last["used"] == used).then_some(())
    })
    .await;
}

async fn refused(scene: &Scene, manifest: Value) -> String {
    let object: Pod = serde_json::from_value(manifest).unwrap();
    let api = scene.api::<Pod>();
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 403 => status.message.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn what_goes_or_ends_is_given_back_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let writes = ended_after_every_write(&world, start, async |scene| {
        let _: Pod = scene.create(pod("before")).await;
        let hard = json!({"pods": "2", "requests.cpu": "500m"});
        let _: ResourceQuota = scene.create(quota(hard.clone())).await;
        let used = |pods: &str, cpu: &str| json!({"pods": pods, "requests.cpu": cpu});
        tells(scene, hard.clone(), used("1", "250m")).await;
        let second: Pod = scene.create(pod("second")).await;
        let why = refused(scene, pod("third")).await;
        assert!(why.contains("exceeded quota: all"), "{why}");
        let api = scene.api::<Pod>();
        api.delete("before", &DeleteParams::default())
            .await
            .unwrap();
        tells(scene, hard.clone(), used("1", "250m")).await;
        let _: Pod = scene.create(pod("third")).await;
        // One that has ended needs nothing any more.
        scene.finishes(&second, "Succeeded").await;
        tells(scene, hard.clone(), used("1", "250m")).await;
        let more = json!({"pods": "9"});
        let changed = json!({"spec": {"hard": {"pods": "9", "requests.cpu": null}}});
        let _: ResourceQuota = scene.patch("all", changed).await;
        tells(scene, more, json!({"pods": "1"})).await;
    })
    .await;
    assert!(writes >= 3, "counted, twice given back, bounds: {writes}");
}

#[tokio::test]
async fn all_kinds_are_counted_and_given_back() {
    let world = World::start().await;
    let scene = world.scene().await;
    let instance = Instance::start(&world.config, start, Faults::default());
    let hard = json!({"services": "5", "services.nodeports": "2", "count/configmaps": "3",
        "count/deployments.apps": "2", "count/nothing.example.com": "7"});
    let _: ResourceQuota = scene.create(quota(hard.clone())).await;
    let used = |services: &str, ports: &str, maps: &str, deployments: &str| {
        json!({"services": services, "services.nodeports": ports, "count/configmaps": maps,
            "count/deployments.apps": deployments})
    };
    tells(&scene, hard.clone(), used("0", "0", "0", "0")).await;
    let service = json!({"metadata": {"name": "web"},
        "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let _: Service = scene.create(service).await;
    let _: ConfigMap = scene.create(json!({"metadata": {"name": "web"}})).await;
    let labels = json!({"app": "web"});
    let deployment = json!({"metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": "busybox"}]}}}});
    let _: Deployment = scene.create(deployment).await;
    tells(&scene, hard.clone(), used("1", "1", "1", "1")).await;
    let inside = json!({"spec": {"type": "ClusterIP"}});
    let _: Service = scene.patch("web", inside).await;
    tells(&scene, hard.clone(), used("1", "0", "1", "1")).await;
    let how = DeleteParams::background();
    scene.api::<Service>().delete("web", &how).await.unwrap();
    scene.api::<Deployment>().delete("web", &how).await.unwrap();
    scene.api::<ConfigMap>().delete("web", &how).await.unwrap();
    tells(&scene, hard, used("0", "0", "0", "0")).await;
    instance.idle().await;
    drop(instance);
    writes_nothing_more(&world, start).await;
}

#[tokio::test]
async fn what_was_given_back_unseen_is_found_out() {
    let world = World::start().await;
    let scene = world.scene().await;
    let instance = Instance::start(&world.config, start, Faults::default());
    let hard = json!({"pods": "2"});
    let _: ResourceQuota = scene.create(quota(hard.clone())).await;
    tells(&scene, hard.clone(), json!({"pods": "0"})).await;
    for name in ["one", "two"] {
        let _: Pod = scene.create(pod(name)).await;
    }
    tells(&scene, hard.clone(), json!({"pods": "2"})).await;
    instance.faults.blind("pods");
    let api = scene.api::<Pod>();
    api.delete("one", &DeleteParams::default()).await.unwrap();
    instance.faults.miss("pods");
    tells(&scene, hard.clone(), json!({"pods": "1"})).await;
    // It does not see what is charged, and what it writes must not undo that.
    instance.faults.blind("resourcequotas");
    let _: Pod = scene.create(pod("three")).await;
    let _: ConfigMap = scene.create(json!({"metadata": {"name": "a"}})).await;
    api.delete("two", &DeleteParams::default()).await.unwrap();
    instance.idle().await;
    tells(&scene, hard.clone(), json!({"pods": "2"})).await;
    instance.faults.see("resourcequotas");
    tells(&scene, hard, json!({"pods": "1"})).await;
}

/// However creations and deletions race with each other and with counts, there is never more than fits.
#[tokio::test]
async fn a_quota_is_never_exceeded_by_racing_creations() {
    const MOST: usize = 5;
    let world = World::start().await;
    let scene = world.scene().await;
    let _instances = [0, 1].map(|_| Instance::start(&world.config, start, Faults::default()));
    let hard = json!({"count/configmaps": MOST.to_string()});
    let _: ResourceQuota = scene.create(quota(hard.clone())).await;
    tells(&scene, hard.clone(), json!({"count/configmaps": "0"})).await;
    let end = Instant::now() + Duration::from_secs(4);
    let made: Arc<std::sync::Mutex<BTreeMap<usize, usize>>> = Arc::default();
    let racing = (0..6).map(|racer| {
        let (scene, made) = (scene.clone(), Arc::clone(&made));
        tokio::spawn(async move {
            let api = scene.api::<ConfigMap>();
            let object: ConfigMap =
                serde_json::from_value(json!({"metadata": {"generateName": "race-"}})).unwrap();
            while Instant::now() < end {
                let Ok(created) = api.create(&PostParams::default(), &object).await else {
                    // Refused: gives something back, so that there is something to count.
                    let maps = scene.list::<ConfigMap>().await;
                    if let Some(name) = maps.iter().find_map(|map| map.metadata.name.clone()) {
                        let _ = api.delete(&name, &DeleteParams::default()).await;
                    }
                    tokio::task::yield_now().await;
                    continue;
                };
                drop(created);
                *made.lock().unwrap().entry(racer).or_default() += 1;
                let there = scene.list::<ConfigMap>().await.len();
                assert!(there <= MOST, "{there} of {MOST}");
            }
        })
    });
    for raced in join_all(racing).await {
        raced.unwrap();
    }
    let total: usize = made.lock().unwrap().values().sum();
    assert!(total > MOST, "something was given back: {total}");
    let left = scene.list::<ConfigMap>().await.len().to_string();
    tells(&scene, hard, json!({"count/configmaps": left})).await;
}
