//! Which pods are on a node.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use mainstay_client::{Cache, Informer};

const BY_NODE: &str = "node";

/// Indexes pods by the node they are bound to.
pub(crate) fn by_node(informer: &Informer<Pod>) {
    informer.index_by(BY_NODE, |pod| {
        node_of(pod).map(str::to_owned).into_iter().collect()
    });
}

/// The node a pod is bound to, if it is.
pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    let node = pod.spec.as_ref()?.node_name.as_deref();
    node.filter(|node| !node.is_empty())
}

/// The pods on a node, in order of their names.
pub(crate) fn pods_of(pods: &Cache<Pod>, node: &str) -> Vec<Arc<Pod>> {
    pods.indexed(BY_NODE, node)
}
