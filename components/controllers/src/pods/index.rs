//! Which pods may concern an owner.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use mainstay_client::{Cache, controller_of};

const BY_CONTROLLER: &str = "controller";

/// Indexes pods by the uid of their controller, or as orphans of their namespace.
pub(crate) fn by_controller(informer: &mainstay_client::Informer<Pod>) {
    informer.index_by(BY_CONTROLLER, |pod| vec![controller_key(pod)]);
}

fn controller_key(pod: &Pod) -> String {
    match controller_of(pod) {
        Some(reference) => reference.uid.clone(),
        None => orphans_of(pod.metadata.namespace.as_deref().unwrap_or_default()),
    }
}

// A slash is in no uid.
fn orphans_of(namespace: &str) -> String {
    format!("orphans/{namespace}")
}

/// The pods that `owner` controls, and those of its namespace that nobody controls.
pub(crate) fn candidates<O: Resource>(pods: &Cache<Pod>, owner: &O) -> Vec<Arc<Pod>> {
    let meta = owner.meta();
    let mut found = pods.indexed(BY_CONTROLLER, meta.uid.as_deref().unwrap_or_default());
    let orphans = orphans_of(meta.namespace.as_deref().unwrap_or_default());
    found.extend(pods.indexed(BY_CONTROLLER, &orphans));
    found
}
