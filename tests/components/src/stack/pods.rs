//! Which containers live, so that one can tell whether somebody disturbed them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

/// What must not change while nothing happens to a pod: the object, its node, and each container with its restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    pub uid: String,
    pub node: String,
    /// Id and restarts by the container's name.
    pub containers: BTreeMap<String, (String, i32)>,
}

/// The life of each pod by its name.
#[must_use]
pub fn lives(pods: &[Pod]) -> BTreeMap<String, Life> {
    let each = pods.iter().map(|pod| {
        let statuses = pod.status.as_ref();
        let statuses = statuses.and_then(|status| status.container_statuses.as_ref());
        let containers = statuses.into_iter().flatten().map(|one| {
            let id = one.container_id.clone().unwrap_or_default();
            (one.name.clone(), (id, one.restart_count))
        });
        let life = Life {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            node: node(pod),
            containers: containers.collect(),
        };
        (pod.metadata.name.clone().unwrap_or_default(), life)
    });
    each.collect()
}

/// The node of a pod, or nothing.
pub(crate) fn node(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    spec.and_then(|spec| spec.node_name.clone())
        .unwrap_or_default()
}
