//! Names of what has changed and was not looked at yet.

use std::collections::HashSet;
use std::mem::take;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ReplicationController, Service};
use mainstay_client::{Informer, Informers, Key, Kind};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::trim;

/// Names of one kind, in the order in which they were told first: of pods that are as important as each other, the
/// first is to be decided on first.
#[derive(Debug, Default)]
pub(super) struct Keys {
    known: HashSet<Key>,
    order: Vec<Key>,
}

impl Keys {
    fn insert(&mut self, key: Key) {
        if self.known.insert(key.clone()) {
            self.order.push(key);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

impl<'a> IntoIterator for &'a Keys {
    type Item = &'a Key;
    type IntoIter = std::slice::Iter<'a, Key>;

    fn into_iter(self) -> Self::IntoIter {
        self.order.iter()
    }
}

/// Each name is there once, however often it changes: there are no more than objects.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) namespaces: Keys,
    pub(super) services: Keys,
    pub(super) controllers: Keys,
    pub(super) replica_sets: Keys,
    pub(super) stateful_sets: Keys,
    pub(super) nodes: Keys,
    pub(super) pods: Keys,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    names: Mutex<Names>,
    pub(super) changed: Notify,
}

impl Inbox {
    /// All names there are, to be looked at now.
    pub(super) fn take(&self) -> Names {
        take(&mut *self.names.lock())
    }

    fn listen<K: Kind>(self: &Arc<Self>, informer: &Informer<K>, to: fn(&mut Names) -> &mut Keys) {
        let inbox = Arc::clone(self);
        informer.on(move |change| {
            let key = Key::of(change.object().as_ref());
            to(&mut inbox.names.lock()).insert(key);
            inbox.changed.notify_one();
        });
    }
}

/// All kinds that decisions depend on.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) namespaces: Arc<Informer<Namespace>>,
    pub(super) services: Arc<Informer<Service>>,
    pub(super) controllers: Arc<Informer<ReplicationController>>,
    pub(super) replica_sets: Arc<Informer<ReplicaSet>>,
    pub(super) stateful_sets: Arc<Informer<StatefulSet>>,
    pub(super) nodes: Arc<Informer<Node>>,
    pub(super) pods: Arc<Informer<Pod>>,
}

impl Sources {
    pub(super) fn new(informers: &Informers, inbox: &Arc<Inbox>) -> Self {
        let this = Self {
            namespaces: informers.of(),
            services: informers.of(),
            controllers: informers.of(),
            replica_sets: informers.of_trimmed(trim::replica_set),
            stateful_sets: informers.of_trimmed(trim::stateful_set),
            nodes: informers.of_trimmed(trim::node),
            pods: informers.of_trimmed(trim::pod),
        };
        inbox.listen(&this.namespaces, |names| &mut names.namespaces);
        inbox.listen(&this.services, |names| &mut names.services);
        inbox.listen(&this.controllers, |names| &mut names.controllers);
        inbox.listen(&this.replica_sets, |names| &mut names.replica_sets);
        inbox.listen(&this.stateful_sets, |names| &mut names.stateful_sets);
        inbox.listen(&this.nodes, |names| &mut names.nodes);
        inbox.listen(&this.pods, |names| &mut names.pods);
        this
    }

    /// Waits until all lists are complete: decisions from a part of the cluster would be wrong.
    pub(super) async fn synced(&self) {
        tokio::join!(
            self.namespaces.synced(),
            self.services.synced(),
            self.controllers.synced(),
            self.replica_sets.synced(),
            self.stateful_sets.synced(),
            self.nodes.synced(),
            self.pods.synced(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_once_and_in_the_order_in_which_they_were_told() {
        let mut keys = Keys::default();
        for name in ["c", "a", "d", "a", "b", "c"] {
            keys.insert(Key::new("n", name));
        }
        let names: Vec<&str> = (&keys).into_iter().map(|key| key.name.as_str()).collect();
        assert_eq!(names, ["c", "a", "d", "b"]);
    }
}
