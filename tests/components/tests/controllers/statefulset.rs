//! Stateful sets.

use controllers::{Context, statefulsets};
use futures_util::future::BoxFuture;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use mainstay_component_tests::sieve::ended_after_every_write;
use mainstay_component_tests::{Scene, World, is_ready};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

fn start(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(statefulsets(cx))
}

fn manifest(replicas: i32) -> Value {
    json!({
        "metadata": {"name": "db"},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "c", "image": "one"}]},
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
        },
    })
}

fn names(pods: &[Pod]) -> Vec<&str> {
    pods.iter()
        .filter_map(|pod| pod.metadata.name.as_deref())
        .collect()
}

/// Plays the kubelet until the set tells what is waited for. No more than one pod is ever missing or not ready, and
/// all that come before one that is there are there too, but for the one that is replaced.
async fn goes_on_until(scene: &Scene, what: &str, told: impl Fn(&StatefulSet, &Value) -> bool) {
    wait_until(what, DONE, async || {
        let pods = scene.live_pods().await;
        let down = pods.iter().filter(|pod| !is_ready(pod));
        assert!(down.count() <= 1, "one after the other: {:?}", names(&pods));
        let last = pods.last().and_then(|pod| {
            pod.metadata
                .name
                .as_deref()?
                .rsplit('-')
                .next()?
                .parse()
                .ok()
        });
        assert!(
            pods.len() >= last.unwrap_or(0_usize),
            "none is left out: {:?}",
            names(&pods)
        );
        for pod in pods.iter().filter(|pod| !is_ready(pod)) {
            scene.runs(pod, true).await;
        }
        let set = scene.api::<StatefulSet>().get("db").await.unwrap();
        let status = serde_json::to_value(&set.status).unwrap();
        let observed = status["observedGeneration"].as_i64() == set.metadata.generation;
        (observed && told(&set, &status)).then_some(())
    })
    .await;
}

fn has(status: &Value, pods: i64) -> bool {
    [
        "replicas",
        "readyReplicas",
        "availableReplicas",
        "updatedReplicas",
        "currentReplicas",
    ]
    .iter()
    .all(|count| status[count].as_i64().unwrap_or(0) == pods)
        && status["currentRevision"] == status["updateRevision"]
}

#[tokio::test]
async fn a_stateful_set_keeps_its_order_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let writes = ended_after_every_write(&world, start, async |scene| {
        let _: StatefulSet = scene.create(manifest(3)).await;
        goes_on_until(scene, "three are ready", |_, status| has(status, 3)).await;
        let pods = scene.live_pods().await;
        assert_eq!(names(&pods), ["db-0", "db-1", "db-2"]);
        let claims = scene.list::<PersistentVolumeClaim>().await;
        let claims: Vec<_> = claims.iter().filter_map(|claim| claim.metadata.name.as_deref()).collect();
        assert_eq!(claims, ["data-db-0", "data-db-1", "data-db-2"]);
        let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}});
        let _: StatefulSet = scene.patch("db", image).await;
        goes_on_until(scene, "all are updated", |_, status| has(status, 3)).await;
        let new = scene.live_pods().await;
        let image = |pod: &Pod| pod.spec.as_ref().unwrap().containers[0].image.clone();
        assert!(new.iter().all(|pod| image(pod).as_deref() == Some("two")));
        assert_eq!(scene.list::<ControllerRevision>().await.len(), 2);
        let _: StatefulSet = scene.patch("db", json!({"spec": {"replicas": 1}})).await;
        goes_on_until(scene, "one is left", |_, status| has(status, 1)).await;
        assert_eq!(names(&scene.live_pods().await), ["db-0"]);
    })
    .await;
    assert!(
        writes >= 15,
        "claims, pods, revisions and statuses: {writes}"
    );
}
