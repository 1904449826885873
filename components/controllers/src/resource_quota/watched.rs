//! Which quotas are concerned by which resources.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use k8s_openapi::api::core::v1::ResourceQuota;
use mainstay_client::Key;
use mainstay_kinds::limits::quota::tracked_resources;
use mainstay_schema::Resource;
use parking_lot::Mutex;

/// What is known of one quota.
struct Known {
    version: Option<String>,
    /// When this state of it was first seen.
    since: Instant,
    tracked: Vec<&'static Resource>,
}

/// All quotas, by what they measure.
#[derive(Default)]
pub(super) struct Watched {
    quotas: Mutex<HashMap<Key, Known>>,
}

impl Watched {
    /// A quota came or changed; returns what it measures.
    pub(super) fn put(&self, key: &Key, quota: &ResourceQuota) -> Vec<&'static Resource> {
        let value = serde_json::to_value(quota).unwrap_or_default();
        let known = Known {
            version: quota.metadata.resource_version.clone(),
            since: Instant::now(),
            tracked: tracked_resources(&value),
        };
        let tracked = known.tracked.clone();
        self.quotas.lock().insert(key.clone(), known);
        tracked
    }

    pub(super) fn remove(&self, key: &Key) {
        self.quotas.lock().remove(key);
    }

    /// Since when a quota is as it is; `None` if this is not its last state.
    pub(super) fn since(&self, key: &Key, quota: &ResourceQuota) -> Option<Instant> {
        let quotas = self.quotas.lock();
        let known = quotas.get(key)?;
        (known.version == quota.metadata.resource_version).then_some(known.since)
    }

    /// The quotas of a namespace that measure objects of a resource.
    pub(super) fn of(&self, namespace: &str, group: &str, plural: &str) -> Vec<Key> {
        let quotas = self.quotas.lock();
        let of_namespace = quotas.iter().filter(|(key, _)| key.namespace == namespace);
        let measuring = of_namespace.filter(|(_, known)| {
            let mut tracked = known.tracked.iter();
            tracked.any(|own| own.group == group && own.plural == plural)
        });
        measuring.map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn keys(&self) -> HashSet<Key> {
        self.quotas.lock().keys().cloned().collect()
    }
}
