//! Disruption budgets: what their status says.

use std::sync::atomic::{AtomicUsize, Ordering};

use controllers::{Context, disruption};
use futures_util::future::BoxFuture;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Event, Pod, ReplicationController};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Resource;
use kube::api::{DeleteParams, EvictParams, Patch, PatchParams};
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Scene, World, with_rights_of};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

pub(crate) fn start(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(disruption(with_rights_of("disruption-controller", cx)))
}

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]},
    })
}

/// A pod that serves; `owner` controls it.
pub(crate) async fn ready_pod(scene: &Scene, name: &str, owner: Option<Value>) -> Pod {
    let mut manifest = template();
    manifest["metadata"]["name"] = name.into();
    if let Some(owner) = owner {
        manifest["metadata"]["ownerReferences"] = json!([owner]);
    }
    let pod: Pod = scene.create(manifest).await;
    scene.runs(&pod, true).await;
    pod
}

fn reference<K: Resource<DynamicType = ()>>(owner: &K) -> Value {
    serde_json::to_value(mainstay_client::controller_ref(owner)).unwrap()
}

pub(crate) async fn budget(scene: &Scene, name: &str, spec: Value) {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"app": "web"}});
    let manifest = json!({"metadata": {"name": name}, "spec": spec});
    let _: PodDisruptionBudget = scene.create(manifest).await;
}

/// The members of the status in the order: expected, desired, healthy, allowed.
fn numbers(status: &Value) -> [i64; 4] {
    let names = [
        "expectedPods",
        "desiredHealthy",
        "currentHealthy",
        "disruptionsAllowed",
    ];
    names.map(|name| status[name].as_i64().unwrap_or(-1))
}

pub(crate) async fn status(scene: &Scene, name: &str) -> Value {
    let budget = scene.api::<PodDisruptionBudget>().get(name).await.unwrap();
    let generation = budget.metadata.generation;
    let mut status = serde_json::to_value(budget.status).unwrap();
    if status["observedGeneration"].as_i64() != generation {
        status["old"] = true.into();
    }
    status
}

async fn counts(scene: &Scene, name: &str, expected: [i64; 4]) -> Value {
    let last = std::sync::Mutex::new(Value::Null);
    let wanted = format!("{name} counts {expected:?}");
    let waiting = wait_until(&wanted, DONE, async || {
        let status = status(scene, name).await;
        *last.lock().unwrap() = status.clone();
        (numbers(&status) == expected && status["old"].is_null()).then_some(status)
    });
    tokio::time::timeout(DONE, waiting)
        .await
        .unwrap_or_else(|_| panic!("{wanted}, and not {}", last.lock().unwrap()))
}

async fn fails(scene: &Scene, name: &str, why: &str) {
    wait_until(&format!("{name} fails: {why}"), DONE, async || {
        let status = status(scene, name).await;
        let condition = &status["conditions"][0];
        (condition["reason"] == "SyncFailed"
            && condition["status"] == "False"
            && condition["message"] == why
            && status["disruptionsAllowed"] == 0)
            .then_some(())
    })
    .await;
}

async fn event(scene: &Scene, about: &str, reason: &str, text: &str) {
    wait_until(&format!("{reason} is told of {about}"), DONE, async || {
        let events = scene.list::<Event>().await;
        let told = events.iter().any(|event| {
            event.involved_object.name.as_deref() == Some(about)
                && event.reason.as_deref() == Some(reason)
                && event
                    .message
                    .as_deref()
                    .is_some_and(|own| own.contains(text))
        });
        told.then_some(())
    })
    .await;
}

async fn evict(scene: &Scene, name: &str) -> Result<(), u16> {
    match scene
        .api::<Pod>()
        .evict(name, &EvictParams::default())
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.code),
        Err(error) => panic!("evicting {name}: {error}"),
    }
}

#[tokio::test]
async fn a_budget_is_counted_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let writes = ended_after_every_write(&world, start, async |scene| {
        budget(scene, "b", json!({"minAvailable": 2})).await;
        counts(scene, "b", [0, 2, 0, 0]).await;
        for name in ["one", "two", "three"] {
            ready_pod(scene, name, None).await;
        }
        let full = counts(scene, "b", [3, 2, 3, 1]).await;
        assert_eq!(full["conditions"][0]["reason"], "SufficientPods");
        assert_eq!(full["conditions"][0]["status"], "True");
        assert_eq!(evict(scene, "one").await, Ok(()));
        let less = counts(scene, "b", [2, 2, 2, 0]).await;
        assert_eq!(less["conditions"][0]["reason"], "InsufficientPods");
        assert!(less["disruptedPods"].is_null(), "it is gone: {less}");
        let _: PodDisruptionBudget = scene.patch("b", json!({"spec": {"minAvailable": 1}})).await;
        counts(scene, "b", [2, 1, 2, 1]).await;
        let two = scene.api::<Pod>().get("two").await.unwrap();
        scene.runs(&two, false).await;
        counts(scene, "b", [2, 1, 1, 0]).await;
        // It takes its label, and is no longer the budget's.
        let other = json!({"metadata": {"labels": {"app": "other"}}});
        let _: Pod = scene.patch("two", other).await;
        counts(scene, "b", [1, 1, 1, 0]).await;
    })
    .await;
    assert!(writes >= 5, "one for each step: {writes}");
}

#[tokio::test]
async fn owners_say_how_many_pods_there_should_be() {
    let world = World::start().await;
    let scene = world.scene().await;
    let _running = Instance::start(&world.config, start, Faults::default());
    let spec = |replicas: i32| {
        json!({
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(),
        })
    };
    let named = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let deployment: Deployment = scene.create(named("d", spec(5))).await;
    let mut sets = Vec::new();
    for name in ["d-old", "d-new"] {
        let mut manifest = named(name, spec(2));
        manifest["metadata"]["ownerReferences"] = json!([reference(&deployment)]);
        let set: ReplicaSet = scene.create(manifest).await;
        sets.push(reference(&set));
    }
    ready_pod(&scene, "old", Some(sets[0].clone())).await;
    ready_pod(&scene, "new", Some(sets[1].clone())).await;
    budget(&scene, "most", json!({"maxUnavailable": 1})).await;
    budget(&scene, "half", json!({"minAvailable": "50%"})).await;
    counts(&scene, "most", [5, 4, 2, 0]).await;
    counts(&scene, "half", [5, 3, 2, 0]).await;
    // No pod changes, and still it is looked again.
    let _: Deployment = scene.patch("d", json!({"spec": {"replicas": 2}})).await;
    counts(&scene, "most", [2, 1, 2, 1]).await;
    counts(&scene, "half", [2, 1, 2, 1]).await;
    // One set of each other kind beside it; each counts once.
    let set: ReplicaSet = scene.create(named("alone", spec(1))).await;
    ready_pod(&scene, "r", Some(reference(&set))).await;
    let mut stateful = spec(3);
    stateful["serviceName"] = "s".into();
    let set: StatefulSet = scene.create(named("s", stateful)).await;
    ready_pod(&scene, "s-0", Some(reference(&set))).await;
    ready_pod(&scene, "s-1", Some(reference(&set))).await;
    let mut older = spec(4);
    older["selector"] = json!({"app": "web"});
    let controller: ReplicationController = scene.create(named("rc", older)).await;
    ready_pod(&scene, "c", Some(reference(&controller))).await;
    counts(&scene, "most", [2 + 1 + 3 + 4, 9, 6, 0]).await;
    // Nobody knows how many of a pod without an owner there should be.
    ready_pod(&scene, "bare", None).await;
    counts(&scene, "most", [10, 9, 7, 0]).await;
    let text = "(selector: &LabelSelector{MatchLabels:map[string]string{app: web,},\
        MatchExpressions:[]LabelSelectorRequirement{},}) were found to be unmanaged";
    event(&scene, "most", "UnmanagedPods", text).await;
    event(
        &scene,
        "bare",
        "MultiplePodDisruptionBudgets",
        "matches multiple",
    )
    .await;
    writes_nothing_more(&world, start).await;
}

#[tokio::test]
async fn a_budget_that_cannot_be_counted_lets_nothing_go_and_says_why() {
    let world = World::start().await;
    let scene = world.scene().await;
    let _running = Instance::start(&world.config, start, Faults::default());
    let owner = |api_version: &str, kind: &str| {
        json!({
            "apiVersion": api_version, "kind": kind, "name": "owner", "uid": "1-2-3", "controller": true,
        })
    };
    budget(&scene, "b", json!({"maxUnavailable": 1})).await;
    for (owner, why) in [
        (
            owner("batch/v1", "Job"),
            "jobs.batch does not implement the scale subresource",
        ),
        (
            owner("apps/v1", "ReplicaSet"),
            "found no controllers for pod \"p\"",
        ),
        (
            owner("example.com/v1", "Thing"),
            "no matches for kind \"Thing\" in version \"example.com/v1\"",
        ),
    ] {
        ready_pod(&scene, "p", Some(owner)).await;
        fails(&scene, "b", why).await;
        let text = format!("Failed to calculate the number of expected pods: {why}");
        event(&scene, "b", "CalculateExpectedPodCountFailed", &text).await;
        let now = DeleteParams::default().grace_period(0);
        scene.api::<Pod>().delete("p", &now).await.unwrap();
        // Without pods there is nobody to ask.
        counts(&scene, "b", [0, 0, 0, 0]).await;
    }
    event(&scene, "b", "NoPods", "No matching pods found").await;
    writes_nothing_more(&world, start).await;
}

#[tokio::test]
async fn pods_that_were_to_go_and_stay_count_again_after_two_minutes() {
    let world = World::start().await;
    let scene = world.scene().await;
    budget(&scene, "b", json!({"minAvailable": 0})).await;
    for name in ["late", "soon"] {
        ready_pod(&scene, name, None).await;
    }
    let ago = |seconds| (Timestamp::now() - SignedDuration::from_secs(seconds)).to_string();
    let (late, soon) = (ago(150), ago(30));
    let params = PatchParams::default();
    let marked = |since: &str| {
        Patch::Strategic(json!({"status": {"conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastTransitionTime": since,
        }]}}))
    };
    let pods = scene.api::<Pod>();
    for (name, since) in [("late", &late), ("soon", &soon)] {
        pods.patch_status(name, &params, &marked(since))
            .await
            .unwrap();
    }
    let disrupted = json!({"status": {"disruptedPods": {"late": late, "soon": soon}}});
    let budgets = scene.api::<PodDisruptionBudget>();
    let patch = Patch::Merge(disrupted);
    budgets.patch_status("b", &params, &patch).await.unwrap();
    let _running = Instance::start(&world.config, start, Faults::default());
    let status = counts(&scene, "b", [2, 0, 1, 1]).await;
    let names = status["disruptedPods"].as_object().unwrap();
    assert_eq!(names.keys().collect::<Vec<_>>(), ["soon"]);
    event(&scene, "late", "NotDeleted", "was expected by PDB").await;
    let target = async |name: &str| {
        let pod = pods.get(name).await.unwrap();
        let mut conditions = pod.status.unwrap().conditions.unwrap().into_iter();
        conditions
            .find(|one| one.type_ == "DisruptionTarget")
            .unwrap()
    };
    wait_until("what was said is taken back", DONE, async || {
        let condition = target("late").await;
        (condition.status == "False" && condition.reason.is_none()).then_some(())
    })
    .await;
    assert_eq!(target("soon").await.status, "True");
    writes_nothing_more(&world, start).await;
}

#[tokio::test]
async fn what_is_not_seen_is_not_spent_twice() {
    let world = World::start().await;
    let scene = world.scene().await;
    let running = Instance::start(&world.config, start, Faults::default());
    budget(&scene, "b", json!({"minAvailable": 2})).await;
    for name in ["one", "two", "three"] {
        ready_pod(&scene, name, None).await;
    }
    counts(&scene, "b", [3, 2, 3, 1]).await;
    running.idle().await;
    // The pods are not seen: one is evicted, and looks as if it served.
    running.faults.blind("pods");
    let refused = AtomicUsize::new(0);
    let spent = async || {
        let tried = futures_util::future::join_all(["one", "two", "three"].map(|name| {
            let scene = scene.clone();
            async move { evict(&scene, name).await }
        }));
        for answer in tried.await {
            match answer {
                Ok(()) | Err(404) => {}
                Err(429) => {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(code) => panic!("{code}"),
            }
        }
    };
    spent().await;
    for round in 0..5 {
        // It counts again and again.
        let label = json!({"metadata": {"labels": {"round": round.to_string()}}});
        let _: PodDisruptionBudget = scene.patch("b", label).await;
        spent().await;
    }
    running.idle().await;
    assert_eq!(scene.live_pods().await.len(), 2, "one was the budget's");
    assert!(refused.load(Ordering::Relaxed) >= 2);
    running.faults.miss("pods");
    counts(&scene, "b", [2, 2, 2, 0]).await;
    // The budget is not seen: what is spent from it meanwhile is not written over.
    ready_pod(&scene, "four", None).await;
    counts(&scene, "b", [3, 2, 3, 1]).await;
    running.idle().await;
    running.faults.blind("poddisruptionbudgets");
    spent().await;
    let five = ready_pod(&scene, "five", None).await;
    scene.runs(&five, false).await;
    spent().await;
    assert_eq!(
        scene.live_pods().await.len(),
        3,
        "two serve and one does not"
    );
    running.faults.see("poddisruptionbudgets");
    counts(&scene, "b", [3, 2, 2, 0]).await;
}
