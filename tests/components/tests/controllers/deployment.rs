//! Deployments, with the controller of their replica sets beside them.

use controllers::{Context, deployments, replicasets};
use futures_util::future::{BoxFuture, join};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Scene, World, is_ready};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

fn start(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(async {
        join(deployments(cx.clone()), replicasets(cx)).await;
    })
}

fn manifest(replicas: i32, strategy: Value) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "strategy": strategy,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "one"}]},
            },
        },
    })
}

fn rolling(surge: i32, unavailable: i32) -> Value {
    json!({"type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

async fn change(scene: &Scene, patch: Value) {
    let _: Deployment = scene.patch("web", patch).await;
}

async fn use_image(scene: &Scene, image: &str) {
    let template = json!({"spec": {"containers": [{"name": "c", "image": image}]}});
    change(scene, json!({"spec": {"template": template}})).await;
}

fn image(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.containers[0].image.as_deref()
}

/// Pods that must be available at least, and may be there at most.
#[derive(Clone, Copy)]
struct Bounds {
    least: usize,
    most: usize,
}

impl Bounds {
    async fn hold(self, scene: &Scene) -> Vec<Pod> {
        let pods = scene.live_pods().await;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        assert!(
            pods.len() <= self.most,
            "{} pods of {}",
            pods.len(),
            self.most
        );
        assert!(
            ready >= self.least,
            "{ready} pods are ready of {}",
            self.least
        );
        pods
    }
}

/// Plays the kubelet of pods with images other than `broken` until the deployment tells what is waited for; within
/// the bounds all the time.
async fn rolls_until(
    scene: &Scene,
    bounds: Bounds,
    what: &str,
    told: impl Fn(&Deployment, &Value) -> bool,
) {
    wait_until(what, DONE, async || {
        for pod in bounds.hold(scene).await {
            if !is_ready(&pod) && image(&pod) != Some("broken") {
                scene.runs(&pod, true).await;
                bounds.hold(scene).await;
            }
        }
        let deployment = scene.api::<Deployment>().get("web").await.unwrap();
        let status = serde_json::to_value(&deployment.status).unwrap();
        told(&deployment, &status).then_some(())
    })
    .await;
}

fn condition<'a>(status: &'a Value, type_: &str) -> &'a Value {
    let conditions = status["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions
        .find(|condition| condition["type"] == type_)
        .unwrap_or(&Value::Null)
}

/// As `kubectl rollout status` sees it.
fn is_done(deployment: &Deployment, status: &Value) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    status["observedGeneration"].as_i64() >= deployment.metadata.generation
        && ["replicas", "updatedReplicas", "availableReplicas"]
            .iter()
            .all(|count| status[count].as_i64().unwrap_or(0) == i64::from(wanted.unwrap_or(1)))
        && condition(status, "Progressing")["reason"] == "NewReplicaSetAvailable"
}

fn revision(deployment: &Deployment) -> Option<&str> {
    let annotations = deployment.metadata.annotations.as_ref()?;
    annotations
        .get("deployment.kubernetes.io/revision")
        .map(String::as_str)
}

async fn all_have(scene: &Scene, wanted: &str) {
    let pods = scene.live_pods().await;
    assert!(
        pods.iter().all(|pod| image(pod) == Some(wanted)),
        "all have {wanted}"
    );
}

const ANY: Bounds = Bounds {
    least: 0,
    most: 100,
};

#[tokio::test]
async fn a_rollout_stays_within_its_bounds_whatever_write_the_controllers_end_after() {
    let world = World::start().await;
    let writes = ended_after_every_write(&world, start, async |scene| {
        let _: Deployment = scene.create(manifest(3, rolling(1, 1))).await;
        let most = Bounds { least: 0, most: 4 };
        rolls_until(scene, most, "the first rollout", is_done).await;
        let bounds = Bounds { least: 2, most: 4 };
        use_image(scene, "two").await;
        rolls_until(scene, bounds, "the second rollout", |deployment, status| {
            is_done(deployment, status) && revision(deployment) == Some("2")
        })
        .await;
        all_have(scene, "two").await;
        // What kubectl rollout undo does.
        use_image(scene, "one").await;
        rolls_until(scene, bounds, "the way back", |deployment, status| {
            is_done(deployment, status) && revision(deployment) == Some("3")
        })
        .await;
        all_have(scene, "one").await;
        assert_eq!(
            scene.list::<ReplicaSet>().await.len(),
            2,
            "the first one came back"
        );
    })
    .await;
    assert!(writes > 20, "three rollouts of three pods: {writes}");
}

#[tokio::test]
async fn a_rollout_that_does_not_see_its_own_writes_stays_within_its_bounds() {
    let world = World::start().await;
    let scene = world.scene().await;
    let running = Instance::start(&world.config, start, Faults::default());
    let _: Deployment = scene.create(manifest(6, rolling(2, 1))).await;
    rolls_until(&scene, ANY, "the first rollout", is_done).await;
    let bounds = Bounds { least: 5, most: 8 };
    use_image(&scene, "two").await;
    for round in 0..8 {
        running.faults.blind("replicasets");
        let label = json!({"metadata": {"labels": {"round": round.to_string()}}});
        change(&scene, label).await;
        for pod in bounds.hold(&scene).await {
            scene.runs(&pod, true).await;
            bounds.hold(&scene).await;
        }
        running.faults.see("replicasets");
        bounds.hold(&scene).await;
    }
    rolls_until(&scene, bounds, "the second rollout", is_done).await;
    drop(running);
    writes_nothing_more(&world, start).await;
}

#[tokio::test]
async fn a_rollout_that_is_stuck_keeps_the_old_pods_and_is_late_in_the_end() {
    let world = World::start().await;
    let scene = world.scene().await;
    let _running = Instance::start(&world.config, start, Faults::default());
    let _: Deployment = scene.create(manifest(4, rolling(1, 1))).await;
    rolls_until(&scene, ANY, "the first rollout", is_done).await;
    change(&scene, json!({"spec": {"progressDeadlineSeconds": 2}})).await;
    use_image(&scene, "broken").await;
    let bounds = Bounds { least: 3, most: 5 };
    rolls_until(&scene, bounds, "it is late", |_, status| {
        let progress = condition(status, "Progressing");
        progress["status"] == "False" && progress["reason"] == "ProgressDeadlineExceeded"
    })
    .await;
    use_image(&scene, "one").await;
    rolls_until(&scene, bounds, "the way back", is_done).await;
    all_have(&scene, "one").await;
}

#[tokio::test]
async fn a_paused_deployment_scales_in_proportion_and_does_not_roll() {
    let world = World::start().await;
    let scene = world.scene().await;
    let _running = Instance::start(&world.config, start, Faults::default());
    let _: Deployment = scene.create(manifest(4, rolling(2, 0))).await;
    rolls_until(&scene, ANY, "the first rollout", is_done).await;
    use_image(&scene, "broken").await;
    let bounds = Bounds { least: 4, most: 6 };
    rolls_until(&scene, bounds, "it has begun", |_, status| {
        status["updatedReplicas"] == 2
    })
    .await;
    change(&scene, json!({"spec": {"paused": true}})).await;
    rolls_until(&scene, bounds, "it is paused", |_, status| {
        condition(status, "Progressing")["reason"] == "DeploymentPaused"
    })
    .await;
    change(&scene, json!({"spec": {"replicas": 8}})).await;
    // 4 and 2 of 6 become parts of 10.
    let bounds = Bounds { least: 4, most: 10 };
    rolls_until(&scene, bounds, "both grow", |_, status| {
        status["replicas"] == 10 && status["updatedReplicas"] == 3
    })
    .await;
    change(&scene, json!({"spec": {"paused": null}})).await;
    use_image(&scene, "two").await;
    rolls_until(&scene, bounds, "it goes on", is_done).await;
    all_have(&scene, "two").await;
}

#[tokio::test]
async fn recreation_ends_all_old_pods_first_and_old_sets_are_forgotten() {
    let world = World::start().await;
    let scene = world.scene().await;
    let _running = Instance::start(&world.config, start, Faults::default());
    let mut manifest = manifest(2, json!({"type": "Recreate"}));
    manifest["spec"]["revisionHistoryLimit"] = json!(1);
    let _: Deployment = scene.create(manifest).await;
    let bounds = Bounds { least: 0, most: 2 };
    for (image_name, number) in [("one", "1"), ("two", "2"), ("three", "3")] {
        use_image(&scene, image_name).await;
        rolls_until(&scene, bounds, image_name, |deployment, status| {
            is_done(deployment, status) && revision(deployment) == Some(number)
        })
        .await;
        all_have(&scene, image_name).await;
    }
    wait_until("the first set is gone", DONE, async || {
        (scene.list::<ReplicaSet>().await.len() == 2).then_some(())
    })
    .await;
}
