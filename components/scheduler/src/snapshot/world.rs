//! What else decides: labels of namespaces, and selectors of services and of what controls pods.

use std::collections::{BTreeMap, HashMap};

use mainstay_client::Key;

use crate::pod::PodInfo;
use crate::selector::{Labels, Selector, label};

/// Kinds whose selectors default spreading uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnerKind {
    ReplicationController,
    ReplicaSet,
    StatefulSet,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    namespaces: HashMap<String, Labels>,
    services: HashMap<String, BTreeMap<String, BTreeMap<String, String>>>,
    owners: HashMap<(OwnerKind, Key), Selector>,
    /// Raised when a namespace has other labels.
    pub(crate) namespaces_version: u64,
    /// Raised when a service or an owner has another selector.
    pub(crate) selectors_version: u64,
}

impl World {
    pub(crate) fn namespace(&self, name: &str) -> &Labels {
        self.namespaces.get(name).unwrap_or(&None)
    }

    pub(crate) fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        let changed = match labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels.clone()) != Some(labels),
            None => self.namespaces.remove(name).is_some(),
        };
        self.namespaces_version += u64::from(changed);
    }

    /// `None` if it is gone or selects nothing.
    pub(crate) fn set_service(&mut self, key: &Key, selector: Option<BTreeMap<String, String>>) {
        let all = self.services.entry(key.namespace.clone()).or_default();
        let changed = match selector {
            Some(selector) => {
                all.insert(key.name.clone(), selector.clone()).as_ref() != Some(&selector)
            }
            None => all.remove(&key.name).is_some(),
        };
        if all.is_empty() {
            self.services.remove(&key.namespace);
        }
        self.selectors_version += u64::from(changed);
    }

    pub(crate) fn set_owner(&mut self, kind: OwnerKind, key: &Key, selector: Option<Selector>) {
        let key = (kind, key.clone());
        let changed = match selector {
            Some(selector) => self.owners.insert(key, selector.clone()).as_ref() != Some(&selector),
            None => self.owners.remove(&key).is_some(),
        };
        self.selectors_version += u64::from(changed);
    }

    /// What selects a pod together with those it should be spread from: the services that select it and its owner.
    pub(crate) fn default_selector(&self, pod: &PodInfo) -> Selector {
        let namespace = pod.namespace();
        let services = self.services.get(namespace);
        let mut labels = BTreeMap::new();
        for selector in services.into_iter().flat_map(BTreeMap::values) {
            let selects =
                |(key, value): (&String, &String)| label(pod.labels(), key) == Some(value);
            if selector.iter().all(selects) {
                labels.extend(selector.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
        }
        let selector = Selector::labels(&labels);
        let Some(owner) = pod.owner() else {
            return selector;
        };
        let kind = match (owner.api_version.as_str(), owner.kind.as_str()) {
            ("v1", "ReplicationController") => OwnerKind::ReplicationController,
            ("apps/v1", "ReplicaSet") => OwnerKind::ReplicaSet,
            ("apps/v1", "StatefulSet") => OwnerKind::StatefulSet,
            _ => return selector,
        };
        match self.owners.get(&(kind, Key::new(namespace, &owner.name))) {
            Some(owner) if *owner != Selector::Nothing => selector.and(owner.clone()),
            _ => selector,
        }
    }
}
