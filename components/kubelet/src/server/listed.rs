//! Lists of pods: those that shall run, and those that do.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use mainstay_cri::{
    ContainerFilter, ContainerState, ContainerStateValue, CriError, ListContainersRequest,
    ListPodSandboxRequest, PodSandboxFilter, PodSandboxState, PodSandboxStateValue, Runtime,
};
use serde_json::{Value, json};

use crate::context::Context;
use crate::labels::{CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID};
use crate::worker::Pods;

/// All pods of this node, with their newest statuses.
pub(super) fn pods(context: &Context, pods: &Pods) -> Value {
    let mut items: Vec<Value> = Vec::new();
    for pod in pods.living() {
        let mut pod: Pod = pod.as_ref().clone();
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        if let Some(status) = context.statuses.latest(uid) {
            pod.status = Some(status);
        }
        pod.metadata.managed_fields = None;
        let mut item = serde_json::to_value(pod).unwrap_or_default();
        if let Some(item) = item.as_object_mut() {
            item.remove("apiVersion");
            item.remove("kind");
        }
        items.push(item);
    }
    list(items)
}

fn list(items: Vec<Value>) -> Value {
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
}

/// What the runtime runs, as pods without more than names.
pub(super) async fn running(runtime: &Runtime) -> Result<Value, CriError> {
    let sandboxes = runtime.call(ListPodSandboxRequest {
        filter: Some(PodSandboxFilter {
            state: Some(PodSandboxStateValue {
                state: PodSandboxState::Ready as i32,
            }),
            ..PodSandboxFilter::default()
        }),
    });
    let containers = runtime.call(ListContainersRequest {
        filter: Some(ContainerFilter {
            state: Some(ContainerStateValue {
                state: ContainerState::Running as i32,
            }),
            ..ContainerFilter::default()
        }),
    });
    let mut found: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
    let of =
        |labels: &BTreeMap<String, String>, key: &str| labels.get(key).cloned().unwrap_or_default();
    let metadata = |labels: &BTreeMap<String, String>| {
        json!({
            "name": of(labels, POD_NAME),
            "namespace": of(labels, POD_NAMESPACE),
            "uid": of(labels, POD_UID),
            "creationTimestamp": null,
        })
    };
    for sandbox in sandboxes.await?.items {
        if sandbox.labels.contains_key(POD_UID) {
            let uid = of(&sandbox.labels, POD_UID);
            let empty = || (metadata(&sandbox.labels), Vec::new());
            found.entry(uid).or_insert_with(empty);
        }
    }
    for container in containers.await?.containers {
        if container.labels.contains_key(POD_UID) {
            let uid = of(&container.labels, POD_UID);
            let empty = || (metadata(&container.labels), Vec::new());
            let pod = found.entry(uid).or_insert_with(empty);
            pod.1.push(json!({
                "name": of(&container.labels, CONTAINER_NAME),
                "image": container.image_ref,
                "resources": {},
            }));
        }
    }
    let pods = found.into_values().map(|(metadata, containers)| {
        json!({"metadata": metadata, "spec": {"containers": containers}, "status": {}})
    });
    Ok(list(pods.collect()))
}
