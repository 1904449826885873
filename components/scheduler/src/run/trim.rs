//! What is kept of objects: there are very many, and decisions depend on little of them.

use std::mem::take;

use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, Node, NodeStatus, Pod, PodSpec, PodStatus,
};
use kube::core::ObjectMeta;

/// Without what runs in it and how that gets on, but for what it asks for and was given.
pub(super) fn pod(pod: &mut Pod) {
    meta(&mut pod.metadata);
    if let Some(spec) = &mut pod.spec {
        trim_spec(spec);
    }
    if let Some(status) = &mut pod.status {
        trim_status(status);
    }
}

fn trim_spec(spec: &mut PodSpec) {
    spec.containers.iter_mut().for_each(trim_container);
    spec.containers.shrink_to_fit();
    let init = spec.init_containers.iter_mut().flatten();
    init.for_each(trim_container);
    spec.ephemeral_containers = None;
    // Images that are mounted count like those of containers.
    if let Some(volumes) = &mut spec.volumes {
        volumes.retain(|volume| volume.image.is_some());
        volumes.shrink_to_fit();
    }
    spec.dns_config = None;
    spec.host_aliases = None;
    spec.image_pull_secrets = None;
    spec.readiness_gates = None;
    spec.security_context = None;
}

fn trim_container(container: &mut Container) {
    let Container {
        name,
        image,
        ports,
        resources,
        restart_policy,
        ..
    } = take(container);
    *container = Container {
        name,
        image,
        ports,
        resources,
        restart_policy,
        ..Container::default()
    };
}

fn trim_status(status: &mut PodStatus) {
    for statuses in [
        &mut status.container_statuses,
        &mut status.init_container_statuses,
    ] {
        let given = take(statuses).into_iter().flatten().filter_map(given);
        let given: Vec<_> = given.collect();
        *statuses = (!given.is_empty()).then_some(given);
    }
    status.ephemeral_container_statuses = None;
    status.host_ip = None;
    status.host_ips = None;
    status.message = None;
    status.pod_ip = None;
    status.pod_ips = None;
}

/// What a container was given, if that is told.
fn given(status: ContainerStatus) -> Option<ContainerStatus> {
    let ContainerStatus {
        name,
        allocated_resources,
        resources,
        ..
    } = status;
    let is_told = allocated_resources.is_some() || resources.is_some();
    is_told.then(|| ContainerStatus {
        name,
        allocated_resources,
        resources,
        ..ContainerStatus::default()
    })
}

/// With its labels, its taints, what it offers and which images it has.
pub(super) fn node(node: &mut Node) {
    meta(&mut node.metadata);
    if let Some(status) = &mut node.status {
        *status = NodeStatus {
            allocatable: status.allocatable.take(),
            images: status.images.take(),
            ..NodeStatus::default()
        };
    }
}

/// With what selects its pods.
pub(super) fn replica_set(set: &mut ReplicaSet) {
    meta(&mut set.metadata);
    set.status = None;
    if let Some(spec) = &mut set.spec {
        spec.template = None;
    }
}

/// With what selects its pods.
pub(super) fn stateful_set(set: &mut StatefulSet) {
    meta(&mut set.metadata);
    set.status = None;
    if let Some(spec) = &mut set.spec {
        spec.template = Default::default();
        spec.volume_claim_templates = None;
    }
}

fn meta(meta: &mut ObjectMeta) {
    meta.annotations = None;
    meta.managed_fields = None;
    meta.finalizers = None;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::pod::PodInfo;

    #[test]
    fn what_is_kept_of_a_pod_asks_for_as_much() {
        let list = json!({"cpu": "2", "memory": "1Gi"});
        let whole: Pod = serde_json::from_value(json!({
            "metadata": {"name": "a", "labels": {"app": "a"}, "annotations": {"long": "text"}},
            "spec": {
                "initContainers": [{"name": "i", "image": "i", "env": [{"name": "A", "value": "B"}],
                    "resources": {"requests": {"cpu": "3"}}, "restartPolicy": "Always"}],
                "containers": [{"name": "c", "image": "c", "command": ["run"],
                    "resources": {"requests": {"cpu": "1"}}, "ports": [{"containerPort": 80, "hostPort": 80}]}],
                "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "image": {"reference": "w"}}],
                "overhead": {"cpu": "1"},
            },
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [
                {"name": "c", "ready": true, "restartCount": 0, "image": "c", "imageID": "", "allocatedResources": list},
                {"name": "d", "ready": true, "restartCount": 0, "image": "d", "imageID": ""},
            ]},
        }))
        .expect("it is a pod");
        let mut kept = whole.clone();
        pod(&mut kept);
        let [whole, kept] = [whole, kept].map(|pod| PodInfo::new(Arc::new(pod)));
        assert!(whole.weighs_as(&kept));
        assert_eq!(whole.asks.cpu, 6_000, "a sidecar, what was given, overhead");
        assert_eq!(whole.ports, kept.ports);
        let spec = kept.spec();
        assert_eq!(spec.containers[0].command, None);
        let volumes = spec.volumes.iter().flatten();
        assert_eq!(volumes.map(|v| v.name.as_str()).collect::<Vec<_>>(), ["w"]);
        let object = kept.object().expect("it is new");
        let status = object.status.as_ref().expect("it is kept");
        assert_eq!(status.phase.as_deref(), Some("Running"));
        assert_eq!(status.container_statuses.iter().flatten().count(), 1);
    }
}
