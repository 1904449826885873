//! Owners and what they own, as the watches have told.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{ApiResource, ObjectMeta};

pub(super) const ORPHAN: &str = "orphan";
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// Objects are known by it: a name may stand for another object tomorrow.
pub(super) type Uid = Arc<str>;

/// Which object, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) api_version: String,
    pub(super) kind: String,
    /// Empty outside of namespaces.
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: Uid,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            api_version,
            kind,
            namespace,
            name,
            uid,
        } = self;
        // As upstream writes it in events.
        write!(
            f,
            "[{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}]"
        )
    }
}

/// What matters of one object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) identity: Identity,
    pub(super) owners: Vec<OwnerReference>,
    pub(super) deleting: bool,
    orphan: bool,
    foreground: bool,
}

impl Node {
    pub(super) fn new(resource: &ApiResource, meta: &ObjectMeta) -> Self {
        let finalizers = meta.finalizers.as_deref().unwrap_or_default();
        let has = |name: &str| finalizers.iter().any(|own| own == name);
        Self {
            identity: Identity {
                api_version: resource.api_version.clone(),
                kind: resource.kind.clone(),
                namespace: meta.namespace.clone().unwrap_or_default(),
                name: meta.name.clone().unwrap_or_default(),
                uid: meta.uid.as_deref().unwrap_or_default().into(),
            },
            owners: meta.owner_references.clone().unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            orphan: has(ORPHAN),
            foreground: has(FOREGROUND),
        }
    }

    /// It is being deleted and waits for what it owns to be gone.
    pub(super) fn waits_for_dependents(&self) -> bool {
        self.deleting && self.foreground
    }

    fn waits_for_orphaning(&self) -> bool {
        self.deleting && self.orphan
    }

    fn refers_to(&self, uid: &str) -> bool {
        self.owners.iter().any(|owner| owner.uid == uid)
    }

    fn blocks(&self, uid: &str) -> bool {
        let mut owners = self.owners.iter();
        owners.any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
    }
}

/// What is to be looked at after a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Work {
    /// Whether this object must go, or may.
    Delete(Uid),
    /// The same, but the owner may just not have been seen yet.
    DeleteLater(Uid),
    /// What this object owns shall stay when it goes.
    Orphan(Uid),
}

/// All objects that own or may be owned.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<Uid, Node>,
    /// By the uids of owners, also of those that were never seen.
    dependents: HashMap<Uid, HashSet<Uid>>,
}

impl Graph {
    pub(super) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// An object came or changed.
    pub(super) fn put(&mut self, node: Node) -> Vec<Work> {
        let uid = Arc::clone(&node.identity.uid);
        let old = self.nodes.insert(Arc::clone(&uid), node.clone());
        if old.as_ref() == Some(&node) {
            return Vec::new();
        }
        let mut work = Vec::new();
        let before = old.as_ref().map_or(&[][..], |old| &old.owners);
        for gone in before.iter().filter(|owner| !node.refers_to(&owner.uid)) {
            self.unlink(&gone.uid, &uid);
        }
        for owner in &node.owners {
            let own = self.dependents.entry(owner.uid.as_str().into());
            own.or_default().insert(Arc::clone(&uid));
        }
        if let Some(old) = &old {
            self.unblocked(old, &node, &mut work);
        }
        let was = |state: fn(&Node) -> bool| old.as_ref().is_some_and(state);
        if node.waits_for_orphaning() && !was(Node::waits_for_orphaning) {
            work.push(Work::Orphan(Arc::clone(&uid)));
        }
        if node.waits_for_dependents() && !was(Node::waits_for_dependents) {
            work.extend(self.dependents_of(&uid).map(Work::Delete));
            work.push(Work::Delete(Arc::clone(&uid)));
        }
        if !node.deleting && before != node.owners && !self.is_kept(&node) {
            work.push(Work::DeleteLater(Arc::clone(&uid)));
        }
        if old.is_none() {
            work.extend(self.mistaken(&node));
        }
        work
    }

    /// An object is gone.
    pub(super) fn remove(&mut self, uid: &str) -> Vec<Work> {
        let Some(node) = self.nodes.remove(uid) else {
            return Vec::new();
        };
        let mut work: Vec<_> = self.dependents_of(uid).map(Work::Delete).collect();
        for owner in &node.owners {
            self.unlink(&owner.uid, uid);
            work.extend(self.waiting(&owner.uid));
        }
        work
    }

    fn unlink(&mut self, owner: &str, uid: &str) {
        if let Some(own) = self.dependents.get_mut(owner) {
            own.remove(uid);
            if own.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }

    /// Owners that this object no longer holds up.
    fn unblocked(&self, old: &Node, new: &Node, work: &mut Vec<Work>) {
        for owner in &old.owners {
            if old.blocks(&owner.uid) && !new.blocks(&owner.uid) {
                work.extend(self.waiting(&owner.uid));
            }
        }
    }

    fn waiting(&self, uid: &str) -> Option<Work> {
        let node = self.nodes.get(uid)?;
        let uid = Arc::clone(&node.identity.uid);
        node.waits_for_dependents().then_some(Work::Delete(uid))
    }

    /// Dependents that took this object for something else while it was not known.
    fn mistaken<'a>(&'a self, owner: &'a Node) -> impl Iterator<Item = Work> + 'a {
        let dependents = self.dependents_of(&owner.identity.uid);
        let wrong = dependents.filter(|uid| {
            let node = self.nodes.get(uid);
            node.is_some_and(|node| !node.deleting && !self.is_kept(node))
        });
        wrong.map(Work::DeleteLater)
    }

    fn dependents_of(&self, uid: &str) -> impl Iterator<Item = Uid> + '_ {
        self.dependents.get(uid).into_iter().flatten().cloned()
    }

    /// What an object owns, as far as it was seen.
    pub(super) fn owned_by(&self, uid: &str) -> Vec<&Node> {
        let own = self.dependents.get(uid).into_iter().flatten();
        own.filter_map(|uid| self.nodes.get(uid)).collect()
    }

    /// What the deletion of an object has to wait for.
    pub(super) fn blocking(&self, uid: &str) -> Vec<&Node> {
        let owned = self.owned_by(uid).into_iter();
        owned.filter(|node| node.blocks(uid)).collect()
    }

    /// Whether there is nothing to ask the server: all owners were seen where the references say, and stay.
    pub(super) fn is_kept(&self, node: &Node) -> bool {
        node.owners.iter().all(|reference| {
            self.nodes.get(reference.uid.as_str()).is_some_and(|owner| {
                is_at(reference, &node.identity.namespace, &owner.identity)
                    && !owner.waits_for_dependents()
            })
        })
    }

    /// References to objects of other namespaces.
    pub(super) fn foreign_owners<'a>(
        &'a self,
        node: &'a Node,
    ) -> impl Iterator<Item = &'a OwnerReference> {
        node.owners.iter().filter(|reference| {
            let owner = self.nodes.get(reference.uid.as_str());
            owner.is_some_and(|owner| {
                let namespace = &owner.identity.namespace;
                !namespace.is_empty() && *namespace != node.identity.namespace
            })
        })
    }
}

/// Whether the owner is where a reference from `namespace` says: an owner in another namespace is none.
fn is_at(reference: &OwnerReference, namespace: &str, owner: &Identity) -> bool {
    // In any version: the same object is in all of them.
    let group = |api_version: &str| api_version.rsplit_once('/').map(|(g, _)| g.to_owned());
    reference.name == owner.name
        && reference.kind == owner.kind
        && group(&reference.api_version) == group(&owner.api_version)
        && (owner.namespace.is_empty() || owner.namespace == namespace)
}
