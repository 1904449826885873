//! Replica sets.

use std::collections::BTreeSet;

use controllers::{Context, replicasets};
use futures_util::future::BoxFuture;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Scene, World};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

fn start(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(replicasets(cx))
}

pub(super) fn manifest(replicas: i32) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "busybox"}]},
            },
        },
    })
}

fn uids(pods: &[Pod]) -> BTreeSet<String> {
    let uids = pods.iter().filter_map(|pod| pod.metadata.uid.clone());
    uids.collect()
}

/// Waits for this many live pods, and makes sure that there are never more.
async fn has_pods(scene: &Scene, count: usize) -> Vec<Pod> {
    wait_until(&format!("{count} pods"), DONE, async || {
        let pods = scene.live_pods().await;
        (pods.len() == count).then_some(pods)
    })
    .await
}

async fn tells(scene: &Scene, what: &str, status: impl Fn(&Value) -> bool) {
    wait_until(what, DONE, async || {
        let set = scene.api::<ReplicaSet>().get("web").await.unwrap();
        let value = serde_json::to_value(set.status).unwrap();
        status(&value).then_some(())
    })
    .await;
}

async fn scale(scene: &Scene, replicas: i32) {
    let patch = json!({"spec": {"replicas": replicas}});
    let _: ReplicaSet = scene.patch("web", patch).await;
}

#[tokio::test]
async fn a_replica_set_has_its_pods_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let writes = ended_after_every_write(&world, start, async |scene| {
        let _: ReplicaSet = scene.create(manifest(3)).await;
        let first = has_pods(scene, 3).await;
        for pod in &first {
            scene.runs(pod, true).await;
        }
        tells(scene, "three are ready", |status| {
            status["readyReplicas"] == 3 && status["availableReplicas"] == 3
        })
        .await;
        scale(scene, 5).await;
        let more = has_pods(scene, 5).await;
        assert!(uids(&first).is_subset(&uids(&more)), "none was replaced");
        scale(scene, 1).await;
        let last = has_pods(scene, 1).await;
        assert!(
            uids(&last).is_subset(&uids(&first)),
            "one of the ready ones stays"
        );
        tells(scene, "one is left", |status| {
            status["replicas"] == 1 && status["observedGeneration"] == 3
        })
        .await;
    })
    .await;
    assert!(
        writes >= 9,
        "five creations and four deletions at least: {writes}"
    );
}

#[tokio::test]
async fn pods_that_end_or_go_are_replaced_and_orphans_are_adopted() {
    let world = World::start().await;
    let scene = world.scene().await;
    let _running = Instance::start(&world.config, start, Faults::default());
    let orphan = json!({
        "metadata": {"name": "orphan", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]},
    });
    let orphan: Pod = scene.create(orphan).await;
    let set: ReplicaSet = scene.create(manifest(2)).await;
    let pods = has_pods(&scene, 2).await;
    assert!(
        uids(&pods).is_superset(&uids(&[orphan])),
        "one was there already"
    );
    for pod in &pods {
        let owner = &pod.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!(Some(&owner.uid), set.metadata.uid.as_ref());
        assert_eq!(
            (owner.controller, owner.block_owner_deletion),
            (Some(true), Some(true))
        );
    }
    // One is relabelled away: it is let go, and another one made.
    let _: Pod = scene
        .patch("orphan", json!({"metadata": {"labels": {"app": "other"}}}))
        .await;
    wait_until("the orphan is let go", DONE, async || {
        let pod = scene.api::<Pod>().get("orphan").await.unwrap();
        pod.metadata.owner_references.is_none().then_some(())
    })
    .await;
    let pods = has_pods(&scene, 3).await;
    let own = pods
        .iter()
        .find(|pod| pod.metadata.name.as_deref() != Some("orphan"));
    scene.finishes(own.unwrap(), "Failed").await;
    wait_until("the failed one is replaced", DONE, async || {
        (scene.live_pods().await.len() == 4).then_some(())
    })
    .await;
    tells(&scene, "two are there", |status| status["replicas"] == 2).await;
    writes_nothing_more(&world, start).await;
}

#[tokio::test]
async fn a_controller_that_sees_no_pods_for_a_while_makes_none_twice() {
    let world = World::start().await;
    let scene = world.scene().await;
    let running = Instance::start(&world.config, start, Faults::default());
    let _: ReplicaSet = scene.create(manifest(1)).await;
    has_pods(&scene, 1).await;
    running.idle().await;
    running.faults.blind("pods");
    scale(&scene, 4).await;
    let made = has_pods(&scene, 4).await;
    // It is told of the set again and again, and knows that its pods are behind.
    for round in 0..5 {
        let label = json!({"metadata": {"labels": {"round": round.to_string()}}});
        let _: ReplicaSet = scene.patch("web", label).await;
    }
    running.idle().await;
    assert_eq!(uids(&scene.live_pods().await), uids(&made));
    // One goes unseen, and its going is never told.
    let gone = made[0].metadata.name.as_deref().unwrap();
    let now = DeleteParams::default().grace_period(0);
    scene.api::<Pod>().delete(gone, &now).await.unwrap();
    running.faults.miss("pods");
    let pods = has_pods(&scene, 4).await;
    assert_eq!(uids(&pods).difference(&uids(&made)).count(), 1);
    tells(&scene, "four are there", |status| status["replicas"] == 4).await;
}

#[tokio::test]
async fn a_quota_stops_creation_and_is_told_in_the_status() {
    let world = World::start().await;
    let scene = world.scene().await;
    let quota = json!({"metadata": {"name": "two"}, "spec": {"hard": {"pods": "2"}}});
    let quota: k8s_openapi::api::core::v1::ResourceQuota = scene.create(quota).await;
    let counted = json!({"status": {"hard": {"pods": "2"}, "used": {"pods": "0"}}});
    let params = kube::api::PatchParams::default();
    let api = scene.api::<k8s_openapi::api::core::v1::ResourceQuota>();
    let name = quota.metadata.name.as_deref().unwrap();
    let patch = kube::api::Patch::Merge(counted);
    api.patch_status(name, &params, &patch).await.unwrap();
    let running = Instance::start(&world.config, start, Faults::default());
    let _: ReplicaSet = scene.create(manifest(20)).await;
    tells(&scene, "the quota is told", |status| {
        let condition = &status["conditions"][0];
        condition["type"] == "ReplicaFailure"
            && condition["reason"] == "FailedCreate"
            && condition["message"]
                .as_str()
                .is_some_and(|text| text.contains("exceeded quota: two"))
    })
    .await;
    assert_eq!(scene.live_pods().await.len(), 2);
    assert!(running.faults.writes() < 15, "it does not ask 18 times");
}
