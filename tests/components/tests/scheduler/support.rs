//! Pods in few words, and what becomes of them.

use controllers::Context;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DeleteParams, ListParams};
use mainstay_component_tests::{Instance, Scene, merge};
use mainstay_tests::wait_until;
use scheduler::{Options, schedule};
use serde_json::{Value, json};

use crate::DONE;

pub(crate) fn start(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let Context {
            client,
            informers,
            events,
            metrics,
            ..
        } = cx;
        schedule(client, &informers, events, &metrics, Options::default()).await;
    })
}

/// With one container that asks for nothing, and what else is given.
pub(crate) async fn pod(scene: &Scene, name: &str, more: Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "app:1"}]},
    });
    merge(&mut pod, &more);
    scene.create(pod).await
}

/// Requests of the one container.
pub(crate) fn asks(requests: Value) -> Value {
    json!({"spec": {"containers": [
        {"name": "c", "image": "app:1", "resources": {"requests": requests, "limits": extended(&requests)}},
    ]}})
}

/// Extended resources have limits as high as their requests.
fn extended(requests: &Value) -> Value {
    let all = requests.as_object().unwrap().iter();
    let extended = all.filter(|(name, _)| name.contains('/'));
    Value::Object(extended.map(|(k, v)| (k.clone(), v.clone())).collect())
}

pub(crate) fn on(node: &str, more: Value) -> Value {
    with(&json!({"spec": {"nodeName": node}}), &more)
}

pub(crate) fn labelled(key: &str, value: &str) -> Value {
    json!({"metadata": {"labels": {key: value}}})
}

pub(crate) fn with(one: &Value, other: &Value) -> Value {
    let mut both = one.clone();
    merge(&mut both, other);
    both
}

/// Waits for a pod to have a node, and names it.
pub(crate) async fn bound(scene: &Scene, name: &str) -> String {
    wait_until(&format!("{name} is bound"), DONE, async || {
        let pod = scene.api::<Pod>().get(name).await.unwrap();
        pod.spec.unwrap().node_name
    })
    .await
}

/// Waits for a pod to be said not to fit, and says why.
pub(crate) async fn refused(scene: &Scene, name: &str) -> String {
    let (reason, message) = wait_until(&format!("{name} is refused"), DONE, async || {
        let pod = scene.api::<Pod>().get(name).await.unwrap();
        let node = pod.spec.as_ref().unwrap().node_name.as_ref();
        assert_eq!(node, None, "{name} is bound");
        let conditions = pod.status?.conditions?;
        let scheduled = conditions.into_iter().find(|c| c.type_ == "PodScheduled")?;
        assert_eq!(scheduled.status, "False");
        Some((scheduled.reason?, scheduled.message?))
    })
    .await;
    assert_eq!(reason, "Unschedulable", "{message}");
    message
}

/// Waits for an event about a pod.
pub(crate) async fn told(scene: &Scene, name: &str, reason: &str) -> String {
    let params = ListParams::default().fields(&format!("involvedObject.name={name}"));
    wait_until(&format!("{reason} of {name}"), DONE, async || {
        let events = scene.api::<Event>().list(&params).await.unwrap();
        let mut events = events.items.into_iter();
        let event = events.find(|event| event.reason.as_deref() == Some(reason));
        event?.message
    })
    .await
}

/// Takes a pod away at once.
pub(crate) async fn remove(scene: &Scene, name: &str) {
    let now = DeleteParams::default().grace_period(0);
    scene.api::<Pod>().delete(name, &now).await.unwrap();
}

/// Takes all pods and these nodes away.
pub(crate) async fn clear(
    world: &mainstay_component_tests::World,
    scene: &Scene,
    nodes: impl IntoIterator<Item = &str>,
) {
    for pod in scene.list::<Pod>().await {
        remove(scene, pod.metadata.name.as_deref().unwrap()).await;
    }
    for node in nodes {
        world.remove_node(node).await;
    }
}

/// Waits until a scheduler knows this many nodes and pods on them.
pub(crate) async fn knows(instance: &Instance, nodes: usize, pods: usize) {
    let nodes = format!("scheduler_cache_size{{type=\"nodes\"}} {nodes}\n");
    let pods = format!("scheduler_cache_size{{type=\"pods\"}} {pods}\n");
    wait_until("the scheduler knows the cluster", DONE, async || {
        let text = instance.metrics();
        (text.contains(&nodes) && text.contains(&pods)).then_some(())
    })
    .await;
}
