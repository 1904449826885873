//! Namespaces that are deleted, and everything in them.

use std::sync::Arc;
use std::time::Duration;

use controllers::{Context, namespaces};
use futures_util::future::BoxFuture;
use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, LimitRange, Namespace, PersistentVolumeClaim, Pod, ReplicationController,
    ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::DeleteParams;
use mainstay_component_tests::sieve::ended_after_every_write_and;
use mainstay_component_tests::{Faults, Instance, Scene, World};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

fn start(mut cx: Context) -> BoxFuture<'static, ()> {
    // There is one server, and it knows at once.
    Arc::make_mut(&mut cx.options).namespace_deletion_pause = Duration::ZERO;
    Box::pin(namespaces(cx))
}

fn api(scene: &Scene) -> Api<Namespace> {
    Api::all(scene.client.clone())
}

async fn deletes(scene: &Scene) {
    let name = &*scene.namespace;
    let answer = api(scene).delete(name, &DeleteParams::default()).await;
    answer.unwrap();
}

async fn is_gone(scene: &Scene) {
    wait_until("the namespace is gone", DONE, async || {
        let found = api(scene).get_opt(&scene.namespace).await.unwrap();
        found.is_none().then_some(())
    })
    .await;
}

async fn many_kinds(scene: &Scene) {
    let pod = json!({"containers": [{"name": "c", "image": "busybox"}]});
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": pod});
    let selector = json!({"matchLabels": {"app": "web"}});
    let named = |spec: Value| json!({"metadata": {"name": "web"}, "spec": spec});
    let set = named(json!({"selector": selector, "template": template}));
    let job = json!({"template": {"spec": {"restartPolicy": "Never",
        "containers": [{"name": "c", "image": "busybox"}]}}});
    let rule = json!({"metadata": {"name": "web"}, "rules": [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    let binding = json!({"metadata": {"name": "web"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "web"}});
    let claim =
        json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let ingress = json!({"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}});
    let data = json!({"metadata": {"name": "web"}});
    let _: Pod = scene.create(named(pod.clone())).await;
    let _: ReplicaSet = scene.create(set.clone()).await;
    let _: Deployment = scene.create(set.clone()).await;
    let _: DaemonSet = scene.create(set.clone()).await;
    let mut stateful = set.clone();
    stateful["spec"]["serviceName"] = json!("web");
    let _: StatefulSet = scene.create(stateful).await;
    let rc = named(json!({"selector": {"app": "web"}, "template": template}));
    let _: ReplicationController = scene.create(rc).await;
    let _: Job = scene.create(named(job.clone())).await;
    let cron = json!({"schedule": "@yearly", "jobTemplate": {"spec": job}});
    let _: CronJob = scene.create(named(cron)).await;
    let _: Service = scene.create(named(json!({"ports": [{"port": 80}]}))).await;
    let _: Endpoints = scene.create(data.clone()).await;
    let _: ConfigMap = scene.create(data.clone()).await;
    let _: Secret = scene.create(data.clone()).await;
    let _: ServiceAccount = scene.create(data.clone()).await;
    let _: PersistentVolumeClaim = scene.create(named(claim)).await;
    // Its protection is another controller's, which does not run.
    let _: PersistentVolumeClaim = scene.patch("web", free()).await;
    let _: ResourceQuota = scene.create(named(json!({"hard": {"pods": "5"}}))).await;
    let _: LimitRange = scene
        .create(named(json!({"limits": [{"type": "Pod"}]})))
        .await;
    let _: Role = scene.create(rule).await;
    let _: RoleBinding = scene.create(binding).await;
    let _: Ingress = scene.create(named(ingress)).await;
    let _: NetworkPolicy = scene.create(named(json!({"podSelector": {}}))).await;
    let budget = json!({"maxUnavailable": 1, "selector": selector});
    let _: PodDisruptionBudget = scene.create(named(budget)).await;
    let revision = json!({"metadata": {"name": "web"}, "revision": 1, "data": {}});
    let _: ControllerRevision = scene.create(revision).await;
}

#[tokio::test]
async fn a_namespace_with_many_kinds_goes_entirely() {
    let world = World::start().await;
    let scene = world.scene().await;
    let other = world.scene().await;
    let _instance = Instance::start(&world.config, start, Faults::default());
    many_kinds(&scene).await;
    many_kinds(&other).await;
    deletes(&scene).await;
    is_gone(&scene).await;
    assert!(scene.list::<ConfigMap>().await.is_empty());
    assert!(scene.list::<Pod>().await.is_empty());
    assert_eq!(
        other.list::<Pod>().await.len(),
        1,
        "nothing else was touched"
    );
    assert_eq!(other.list::<Deployment>().await.len(), 1);
}

/// The condition's status and its reason.
fn condition(namespace: &Namespace, type_: &str) -> (String, String, String) {
    let status = namespace.status.clone().unwrap_or_default();
    let all = status.conditions.unwrap_or_default();
    let found = all.into_iter().find(|condition| condition.type_ == type_);
    let found = found.map(|c| (c.status, c.reason, c.message));
    let (status, reason, message) = found.unwrap_or_default();
    (
        status,
        reason.unwrap_or_default(),
        message.unwrap_or_default(),
    )
}

fn text(status: &str, reason: &str, message: &str) -> (String, String, String) {
    (status.to_owned(), reason.to_owned(), message.to_owned())
}

/// Something in the namespace has a finalizer of somebody's, a pod or another thing.
async fn waits_for(scene: &Scene, name: &str) {
    let remaining = format!("Some resources are remaining: {name} has 1 resource instances");
    let remaining = text("True", "SomeResourcesRemain", &remaining);
    let namespace = wait_until("the namespace tells what it waits for", DONE, async || {
        let namespace = api(scene).get(&scene.namespace).await.unwrap();
        let told = condition(&namespace, "NamespaceContentRemaining");
        (told == remaining).then_some(namespace)
    })
    .await;
    let finalizers = "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances";
    assert_eq!(
        condition(&namespace, "NamespaceFinalizersRemaining"),
        text("True", "SomeFinalizersRemain", finalizers)
    );
    let fine = "All content successfully deleted, may be waiting on finalization";
    assert_eq!(
        condition(&namespace, "NamespaceDeletionContentFailure"),
        text("False", "ContentDeleted", fine)
    );
    let phase = namespace.status.unwrap().phase;
    assert_eq!(phase.as_deref(), Some("Terminating"));
}

fn held(name: &str) -> Value {
    json!({"metadata": {"name": name, "finalizers": ["example.com/hold"]}})
}

fn free() -> Value {
    json!({"metadata": {"finalizers": null}})
}

async fn goes_in_order(scene: &Scene) {
    let mut pod = held("last");
    pod["spec"] = json!({"containers": [{"name": "c", "image": "busybox"}],
        "terminationGracePeriodSeconds": 0});
    let _: Pod = scene.create(pod).await;
    let _: ConfigMap = scene.create(held("needed")).await;
    deletes(scene).await;
    waits_for(scene, "pods.").await;
    let map = scene.api::<ConfigMap>().get("needed").await.unwrap();
    assert_eq!(map.metadata.deletion_timestamp, None, "pods may need it");
    let _: Pod = scene.patch("last", free()).await;
    // The next look is some seconds away; a change of the namespace brings it on.
    let nudge = json!({"metadata": {"labels": {"nudge": "1"}}});
    nudged(scene, nudge).await;
    waits_for(scene, "configmaps.").await;
    let _: ConfigMap = scene.patch("needed", free()).await;
    nudged(scene, json!({"metadata": {"labels": {"nudge": "2"}}})).await;
    is_gone(scene).await;
}

async fn nudged(scene: &Scene, patch: Value) {
    let params = kube::api::PatchParams::default();
    let patch = kube::api::Patch::Merge(patch);
    let name = &*scene.namespace;
    api(scene).patch(name, &params, &patch).await.unwrap();
}

#[tokio::test]
async fn pods_go_first_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    // What is left when all namespaces are gone is nothing to look at.
    let settled = async || {
        let instance = Instance::start(&world.config, start, Faults::default());
        let scene = world.scene().await;
        deletes(&scene).await;
        is_gone(&scene).await;
        drop(instance);
    };
    let writes = ended_after_every_write_and(&world, start, goes_in_order, settled).await;
    assert!(writes >= 5, "collections, statuses and the end: {writes}");
}

#[tokio::test]
async fn a_namespace_whose_deletion_was_missed_goes_with_the_next_list() {
    let world = World::start().await;
    let scene = world.scene().await;
    let other = world.scene().await;
    let instance = Instance::start(&world.config, start, Faults::default());
    deletes(&other).await;
    is_gone(&other).await;
    instance.faults.blind("namespaces");
    let _: ConfigMap = scene.create(json!({"metadata": {"name": "a"}})).await;
    deletes(&scene).await;
    instance.idle().await;
    assert_eq!(scene.list::<ConfigMap>().await.len(), 1);
    instance.faults.miss("namespaces");
    is_gone(&scene).await;
}

#[tokio::test]
async fn a_namespace_that_was_made_again_is_not_emptied() {
    let world = World::start().await;
    let scene = world.scene().await;
    let old = Instance::start(&world.config, start, Faults::default());
    let other = world.scene().await;
    deletes(&other).await;
    is_gone(&other).await;
    // It sees the deletion only after another one has finished it and the name is in use again.
    old.faults.blind("namespaces");
    deletes(&scene).await;
    let new = Instance::start(&world.config, start, Faults::default());
    is_gone(&scene).await;
    drop(new);
    let object = serde_json::from_value(json!({"metadata": {"name": &*scene.namespace}})).unwrap();
    let params = kube::api::PostParams::default();
    api(&scene).create(&params, &object).await.unwrap();
    let _: ConfigMap = scene.create(json!({"metadata": {"name": "mine"}})).await;
    let before = old.faults.writes();
    old.faults.see("namespaces");
    let third = world.scene().await;
    deletes(&third).await;
    is_gone(&third).await;
    assert_eq!(scene.list::<ConfigMap>().await.len(), 1);
    assert!(old.faults.writes() > before);
}
