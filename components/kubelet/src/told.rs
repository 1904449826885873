//! Events about one pod.

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use mainstay_client::Events;

/// Tells of a pod and of its containers.
#[derive(Clone, Debug)]
pub struct Told {
    events: Events,
    pod: ObjectReference,
    init: Vec<String>,
}

impl Told {
    /// A static pod is known to the apiserver by its mirror, which has the pod's hash as its uid here.
    pub fn of(events: &Events, pod: &Pod) -> Self {
        let meta = &pod.metadata;
        let spec = pod
            .spec
            .iter()
            .flat_map(|spec| spec.init_containers.iter().flatten());
        Self {
            events: events.clone(),
            pod: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: meta.name.clone(),
                namespace: meta.namespace.clone(),
                uid: meta.uid.clone(),
                resource_version: meta.resource_version.clone(),
                ..ObjectReference::default()
            },
            init: spec.map(|container| container.name.clone()).collect(),
        }
    }

    pub fn normal(&self, reason: &str, message: impl Into<String>) {
        self.events.normal_about(&self.pod, reason, message);
    }

    pub fn warning(&self, reason: &str, message: impl Into<String>) {
        self.events.warning_about(&self.pod, reason, message);
    }

    pub fn container_normal(&self, container: &str, reason: &str, message: impl Into<String>) {
        self.events
            .normal_about(&self.part(container), reason, message);
    }

    pub fn container_warning(&self, container: &str, reason: &str, message: impl Into<String>) {
        self.events
            .warning_about(&self.part(container), reason, message);
    }

    fn part(&self, container: &str) -> ObjectReference {
        let list = match self.init.iter().any(|name| name == container) {
            true => "initContainers",
            false => "containers",
        };
        ObjectReference {
            field_path: Some(format!("spec.{list}{{{container}}}")),
            ..self.pod.clone()
        }
    }
}
