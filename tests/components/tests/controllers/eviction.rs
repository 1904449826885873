//! Evictions: what the apiserver and the disruption controller do together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use controllers::{Context, replicasets};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, join_all};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Client;
use kube::api::{
    Api, DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams, WatchEvent,
    WatchParams,
};
use mainstay_component_tests::{Faults, Instance, Scene, World, is_ready};
use mainstay_tests::apiserver::{Apiserver, has_kubectl};
use mainstay_tests::rest::Rest;
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use super::disruption::{budget, ready_pod, start, status};
use super::replicaset::manifest;
use crate::DONE;

fn start_replicas(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(replicasets(cx))
}

fn serves(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && is_ready(pod)
}

/// Plays the kubelet for all pods of a scene until it is dropped: they run and are ready, and go when they are to.
struct Kubelet(tokio::task::JoinHandle<()>);

impl Kubelet {
    fn start(scene: &Scene) -> Self {
        let scene = scene.clone();
        Self(tokio::spawn(async move {
            loop {
                for pod in scene.list::<Pod>().await {
                    let name = pod.metadata.name.as_deref().unwrap();
                    if pod.metadata.deletion_timestamp.is_some() {
                        let now = DeleteParams::default().grace_period(0);
                        let _ = scene.api::<Pod>().delete(name, &now).await;
                    } else if !serves(&pod) {
                        scene.runs(&pod, true).await;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }))
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Follows the pods of a scene, state by state, and knows the fewest that ever served.
async fn fewest(scene: &Scene, ended: Arc<AtomicBool>) -> usize {
    let api = scene.api::<Pod>();
    let list = api.list(&ListParams::default()).await.unwrap();
    let name = |pod: &Pod| pod.metadata.name.clone().unwrap();
    let mut serving: BTreeSet<String> = list.items.iter().filter(|p| serves(p)).map(name).collect();
    let mut fewest = serving.len();
    let from = list.metadata.resource_version.unwrap();
    let watch = api.watch(&WatchParams::default(), &from).await.unwrap();
    let mut watch = Box::pin(watch);
    while let Some(event) = watch.next().await {
        match event.unwrap() {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) if serves(&pod) => {
                serving.insert(name(&pod));
            }
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod) => {
                serving.remove(&name(&pod));
            }
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(error) => panic!("{error:?}"),
        }
        fewest = fewest.min(serving.len());
        if ended.load(Ordering::SeqCst) {
            break;
        }
    }
    fewest
}

async fn evict(api: Api<Pod>, name: String) -> kube::Result<()> {
    api.evict(&name, &EvictParams::default()).await.map(drop)
}

async fn all_serve(scene: &Scene, count: usize) {
    wait_until(&format!("{count} pods serve"), DONE, async || {
        let pods = scene.list::<Pod>().await;
        (pods.iter().filter(|pod| serves(pod)).count() == count).then_some(())
    })
    .await;
}

async fn allows(scene: &Scene, count: i64) {
    wait_until(&format!("{count} may go"), DONE, async || {
        let status = status(scene, "b").await;
        (status["disruptionsAllowed"] == count && status["old"].is_null()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evictions_through_two_apiservers_at_once_never_pass_below_the_budget() {
    let world = World::start().await;
    let other = Apiserver::start(&world.cluster, Some(world.server.pki())).await;
    let mut config = world.config.clone();
    let url = format!("https://127.0.0.1:{}", other.port());
    config.cluster_url = url.parse().unwrap();
    let other_client = Client::try_from(config).unwrap();
    let _budgets = Instance::start(&world.config, start, Faults::default());
    let _sets = Instance::start(&world.config, start_replicas, Faults::default());
    for (replicas, spec, least) in [
        (5, json!({"minAvailable": 3}), 3),
        (6, json!({"maxUnavailable": "34%"}), 3),
        (4, json!({"minAvailable": "100%"}), 4),
        (7, json!({"maxUnavailable": 1}), 6),
    ] {
        let scene = world.scene().await;
        let _kubelet = Kubelet::start(&scene);
        let _: ReplicaSet = scene.create(manifest(replicas)).await;
        let count = usize::try_from(replicas).unwrap();
        all_serve(&scene, count).await;
        budget(&scene, "b", spec.clone()).await;
        allows(&scene, i64::try_from(count - least).unwrap()).await;
        let ended = Arc::new(AtomicBool::new(false));
        let watching = tokio::spawn({
            let (scene, ended) = (scene.clone(), Arc::clone(&ended));
            async move { fewest(&scene, ended).await }
        });
        let mut evicted = 0;
        for _ in 0..4 {
            let names = scene.live_pods().await.into_iter();
            let names: Vec<String> = names.filter_map(|pod| pod.metadata.name).collect();
            let mut evictions = Vec::new();
            for (number, name) in names.iter().enumerate() {
                // Every third is asked for at both.
                for (other, client) in [&world.client, &other_client].into_iter().enumerate() {
                    if number % 3 == 0 || number % 2 == other {
                        let api = Api::namespaced(client.clone(), &scene.namespace);
                        evictions.push(evict(api, name.clone()));
                    }
                }
            }
            for answer in join_all(evictions).await {
                match answer {
                    Ok(()) => evicted += 1,
                    Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 429) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        all_serve(&scene, count).await;
        ended.store(true, Ordering::SeqCst);
        ready_pod(&scene, "last", None).await;
        let fewest = watching.await.unwrap();
        assert!(fewest >= least, "{fewest} of {replicas} under {spec}");
        assert!(evicted > 0 || least == count, "{spec} lets some go");
        let now = DeleteParams::background();
        scene.api::<ReplicaSet>().delete("web", &now).await.unwrap();
    }
}

#[tokio::test]
async fn an_eviction_is_answered_as_upstream_answers_it() {
    let world = World::start().await;
    let scene = world.scene().await;
    let rest = Rest::new(world.server.port(), world.server.pki());
    let ask = async |pod: &str, query: &str, options: Value| {
        let path = format!(
            "POST /api/v1/namespaces/{}/pods/{pod}/eviction{query}\ncontent-type: application/json",
            scene.namespace
        );
        let body = json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod},
            "deleteOptions": options,
        });
        let answer = rest.call(&path, &body.to_string()).await;
        let told: Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status, told)
    };
    // Without a budget; the condition says why it goes.
    let pod = json!({
        "metadata": {"name": "kept", "labels": {"app": "web"}, "finalizers": ["example.com/kept"]},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]},
    });
    let kept: Pod = scene.create(pod).await;
    scene.runs(&kept, true).await;
    let (code, _) = ask("kept", "?dryRun=All", Value::Null).await;
    assert_eq!(code, 201);
    let same = scene.api::<Pod>().get("kept").await.unwrap();
    assert!(serves(&same), "a dry run does nothing");
    let wrong = json!({"preconditions": {"resourceVersion": "1"}});
    let (code, told) = ask("kept", "", wrong).await;
    assert_eq!((code, &told["reason"]), (409, &json!("Conflict")), "{told}");
    let breaking = json!({"ignoreStoreReadErrorWithClusterBreakingPotential": true});
    let (code, told) = ask("kept", "", breaking).await;
    assert_eq!((code, &told["reason"]), (422, &json!("Invalid")), "{told}");
    let (code, told) = ask("kept", "", Value::Null).await;
    assert_eq!((code, &told["status"]), (201, &json!("Success")));
    let gone = scene.api::<Pod>().get("kept").await.unwrap();
    assert!(gone.metadata.deletion_timestamp.is_some());
    let conditions = serde_json::to_value(gone.status.unwrap().conditions).unwrap();
    let target = conditions.as_array().unwrap().iter();
    let target = target.clone().find(|one| one["type"] == "DisruptionTarget");
    let target = target.unwrap();
    assert_eq!(target["reason"], "EvictionByEvictionAPI");
    assert_eq!(target["message"], "Eviction API: evicting");
    assert_eq!(target["status"], "True");

    ready_pod(&scene, "ready", None).await;
    let unready: Pod = ready_pod(&scene, "unready", None).await;
    scene.runs(&unready, false).await;
    budget(&scene, "b", json!({"minAvailable": 2})).await;
    let (code, told) = ask("ready", "", Value::Null).await;
    assert_eq!(
        (code, &told["details"]["retryAfterSeconds"]),
        (429, &json!(10))
    );
    let cause = json!([{
        "reason": "DisruptionBudget",
        "message": "The disruption budget b is still being processed by the server.",
    }]);
    assert_eq!(told["details"]["causes"], cause);
    let _running = Instance::start(&world.config, start, Faults::default());
    // With the one that is on its way.
    wait_until("it is counted", DONE, async || {
        (status(&scene, "b").await["expectedPods"] == 3).then_some(())
    })
    .await;
    for pod in ["ready", "unready"] {
        let (code, told) = ask(pod, "", Value::Null).await;
        assert_eq!((code, &told["reason"]), (429, &json!("TooManyRequests")));
        let text = "Cannot evict pod as it would violate the pod's disruption budget.";
        assert_eq!(told["message"], text);
        let cause = json!([{
            "reason": "DisruptionBudget",
            "message": "The disruption budget b needs 2 healthy pods and has 1 currently",
        }]);
        assert_eq!(told["details"]["causes"], cause);
        assert!(told["details"]["retryAfterSeconds"].is_null());
    }
    let always = json!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}});
    let _: PodDisruptionBudget = scene.patch("b", always).await;
    let (code, _) = ask("unready", "", Value::Null).await;
    assert_eq!(code, 201);
    let fewer = json!({"spec": {"minAvailable": 0}});
    let _: PodDisruptionBudget = scene.patch("b", fewer).await;
    allows(&scene, 1).await;
    let (code, _) = ask("ready", "?dryRun=All", Value::Null).await;
    assert_eq!(code, 201);
    assert_eq!(status(&scene, "b").await["disruptionsAllowed"], 1);
    budget(&scene, "second", json!({"minAvailable": 0})).await;
    let (code, told) = ask("ready", "", Value::Null).await;
    let text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    assert_eq!((code, &told["message"]), (500, &json!(text)));
    let now = DeleteParams::default();
    let budgets = scene.api::<PodDisruptionBudget>();
    budgets.delete("second", &now).await.unwrap();
    let (code, _) = ask("ready", "", Value::Null).await;
    assert_eq!(code, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_drains_a_node_and_waits_for_the_budget() {
    if !has_kubectl() {
        eprintln!("skipped: there is no kubectl in PATH");
        return;
    }
    let world = World::start().await;
    let scene = world.scene().await;
    let _budgets = Instance::start(&world.config, start, Faults::default());
    let _sets = Instance::start(&world.config, start_replicas, Faults::default());
    let nodes: Api<Node> = Api::all(world.client.clone());
    let node = serde_json::from_value(json!({"metadata": {"name": "drained"}})).unwrap();
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let kubelet = Kubelet::start(&scene);
    let _: ReplicaSet = scene.create(manifest(2)).await;
    all_serve(&scene, 2).await;
    // They are where they are to go from; those that come later are on no node.
    for pod in scene.list::<Pod>().await {
        let name = pod.metadata.name.unwrap();
        let binding =
            json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "drained"}});
        let pods = scene.api::<Pod>();
        let bound: Result<Value, _> = pods
            .create_subresource("binding", &name, &PostParams::default(), &binding)
            .await;
        bound.unwrap();
    }
    budget(&scene, "b", json!({"minAvailable": 1})).await;
    allows(&scene, 1).await;
    let ended = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn({
        let (scene, ended) = (scene.clone(), Arc::clone(&ended));
        async move { fewest(&scene, ended).await }
    });
    let said = world
        .server
        .kubectl(&["drain", "drained", "--timeout=25s"])
        .await;
    assert!(said.ok, "{}", said.text);
    assert!(said.text.contains("node/drained drained"), "{}", said.text);
    let held = "Cannot evict pod as it would violate the pod's disruption budget.";
    assert!(said.text.contains(held), "{}", said.text);
    let left = scene.list::<Pod>().await;
    let is_there = |pod: &Pod| pod.spec.as_ref().unwrap().node_name.is_some();
    assert_eq!(left.iter().filter(|pod| is_there(pod)).count(), 0);
    all_serve(&scene, 2).await;
    ended.store(true, Ordering::SeqCst);
    let label = Patch::Merge(json!({"metadata": {"labels": {"seen": "yes"}}}));
    let any = left[0].metadata.name.as_deref().unwrap();
    let _ = scene
        .api::<Pod>()
        .patch(any, &PatchParams::default(), &label)
        .await;
    ready_pod(&scene, "last", None).await;
    assert!(watching.await.unwrap() >= 1, "one served all the time");
    drop(kubelet);
}
