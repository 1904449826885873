//! Which objects may concern an owner.

use std::sync::Arc;

use kube::Resource;
use mainstay_client::{Cache, Informer, Kind, controller_of};

const BY_CONTROLLER: &str = "controller";

/// Indexes objects by the uid of their controller, or as orphans of their namespace.
pub(crate) fn by_controller<K: Kind>(informer: &Informer<K>) {
    informer.index_by(BY_CONTROLLER, |object| vec![controller_key(object)]);
}

fn controller_key<K: Resource>(object: &K) -> String {
    match controller_of(object) {
        Some(reference) => reference.uid.clone(),
        None => orphans_of(object.meta().namespace.as_deref().unwrap_or_default()),
    }
}

// A slash is in no uid.
fn orphans_of(namespace: &str) -> String {
    format!("orphans/{namespace}")
}

/// The objects that `owner` controls.
pub(crate) fn owned<K: Resource, O: Resource>(cache: &Cache<K>, owner: &O) -> Vec<Arc<K>> {
    let uid = owner.meta().uid.as_deref();
    cache.indexed(BY_CONTROLLER, uid.unwrap_or_default())
}

/// The objects that `owner` controls, and those of its namespace that nobody controls.
pub(crate) fn candidates<K: Resource, O: Resource>(cache: &Cache<K>, owner: &O) -> Vec<Arc<K>> {
    let mut found = owned(cache, owner);
    let namespace = owner.meta().namespace.as_deref().unwrap_or_default();
    found.extend(cache.indexed(BY_CONTROLLER, &orphans_of(namespace)));
    found
}
