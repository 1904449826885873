//! The controller's loops.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{ApiResource, ObjectMeta};
use mainstay_client::{MetadataChange, Queue, follow_metadata};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use super::absent::Absent;
use super::graph::{FOREGROUND, Graph, Identity, Node, ORPHAN, Uid, Work};
use super::server::{Failed, Server};
use super::verdict::{Owner, Verdict, verdict};
use crate::context::Context;
use crate::discovery::{Served, ServedResources};
use crate::limits::{GC_DISCOVERY_PAUSE, GC_OWNER_PAUSE, GC_PATCHES_AT_ONCE, GC_SYNC_WAIT_MAX};

/// Deletes what has lost its owners, lets go of what shall stay without them, and ends deletions in the foreground.
pub async fn garbage_collector(cx: Context) {
    Controller::new(cx).run().await;
}

/// A uid in a queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Item(Uid);

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object with uid {}", self.0)
    }
}

struct Controller {
    cx: Context,
    server: Server,
    graph: Mutex<Graph>,
    absent: Mutex<Absent>,
    delete: Queue<Item>,
    orphan: Queue<Item>,
}

/// A task that ends with this.
struct Feed {
    task: JoinHandle<()>,
    listed: watch::Receiver<bool>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Kinds whose objects neither own nor are owned, and of which there are many.
fn is_ignored(resource: &ApiResource) -> bool {
    resource.kind == "Event" && matches!(resource.group.as_str(), "" | "events.k8s.io")
}

fn is_collected(served: &Served) -> bool {
    ["delete", "list", "watch"]
        .iter()
        .all(|verb| served.can(verb))
        && !is_ignored(&served.resource)
}

impl Controller {
    fn new(cx: Context) -> Arc<Self> {
        Arc::new(Self {
            server: Server {
                client: cx.client.clone(),
                served: ServedResources::default(),
            },
            graph: Mutex::default(),
            absent: Mutex::default(),
            delete: cx.queue("garbage_collector_attempt_to_delete"),
            orphan: cx.queue("garbage_collector_attempt_to_orphan"),
            cx,
        })
    }

    async fn run(self: Arc<Self>) {
        let mut feeds = HashMap::new();
        let mut ticks = interval(GC_DISCOVERY_PAUSE);
        while !self.discover(&mut feeds).await {
            ticks.tick().await;
        }
        let all = feeds.values_mut().map(|feed: &mut Feed| async {
            // The sender lives as long as the task.
            let _ = feed.listed.wait_for(|listed| *listed).await;
        });
        if timeout(GC_SYNC_WAIT_MAX, futures_util::future::join_all(all))
            .await
            .is_err()
        {
            // Nothing wrong can come of it: the server is asked before anything is deleted.
            tracing::warn!("some resources cannot be listed; garbage of theirs waits");
        }
        tracing::debug!(objects = self.graph.lock().len(), "the graph is complete");
        let workers = self.cx.options.concurrent_gc_syncs;
        let rounds = self
            .cx
            .rounds("garbage_collector_discovery", GC_DISCOVERY_PAUSE);
        let follow = async {
            loop {
                ticks.tick().await;
                rounds.round(self.discover(&mut feeds)).await;
            }
        };
        let delete = async |this: Arc<Self>, item: Item| {
            this.attempt_to_delete(&item.0).await.map(|()| None)
        };
        let orphan = async |this: Arc<Self>, item: Item| {
            this.attempt_to_orphan(&item.0).await.map(|()| None)
        };
        tokio::join!(
            self.delete.work_for(&self, workers, delete),
            self.orphan.work_for(&self, workers, orphan),
            follow
        );
    }

    /// Follows what the server has now. Returns whether the server has answered.
    async fn discover(self: &Arc<Self>, feeds: &mut HashMap<ApiResource, Feed>) -> bool {
        if let Err(error) = self.server.served.refresh(&self.cx.client).await {
            tracing::warn!("discovery: {error}");
            return false;
        }
        let all = self.server.served.all().into_iter().filter(is_collected);
        let wanted: Vec<ApiResource> = all.map(|served| served.resource).collect();
        feeds.retain(|resource, feed| wanted.contains(resource) && !feed.task.is_finished());
        for resource in wanted {
            let feed = || self.follow(resource.clone());
            feeds.entry(resource.clone()).or_insert_with(feed);
        }
        true
    }

    fn follow(self: &Arc<Self>, resource: ApiResource) -> Feed {
        let (told, listed) = watch::channel(false);
        let this = Arc::clone(self);
        let client = self.cx.client.clone();
        let task = tokio::spawn(async move {
            let of = resource.clone();
            follow_metadata(client, &resource, move |change| match change {
                MetadataChange::Listed => {
                    told.send_replace(true);
                }
                change => this.changed(&of, &change),
            })
            .await;
        });
        Feed { task, listed }
    }

    fn changed(&self, resource: &ApiResource, change: &MetadataChange<'_>) {
        let mut graph = self.graph.lock();
        let work = match change {
            MetadataChange::Seen(meta) => graph.put(Node::new(resource, meta)),
            MetadataChange::Deleted { uid, .. } => {
                let gone = graph.get(uid).map(|node| node.identity.clone());
                let work = graph.remove(uid);
                if let Some(gone) = gone.filter(|_| !work.is_empty()) {
                    self.absent.lock().add(gone);
                }
                work
            }
            MetadataChange::Missing { uid, .. } => graph.remove(uid),
            MetadataChange::Listed => Vec::new(),
        };
        drop(graph);
        for work in work {
            match work {
                Work::Delete(uid) => self.delete.add(Item(uid)),
                Work::DeleteLater(uid) => self.delete.add_after(Item(uid), GC_OWNER_PAUSE),
                Work::Orphan(uid) => self.orphan.add(Item(uid)),
            }
        }
    }

    async fn attempt_to_delete(&self, uid: &Uid) -> Result<(), Failed> {
        let Some((node, kept)) = self.seen(uid) else {
            return Ok(());
        };
        let waits = node.waits_for_dependents();
        // Being deleted is a way of one direction: its dependents' turn comes when it is gone.
        if (node.deleting || kept) && !waits {
            return Ok(());
        }
        // One that is gone will be seen to be gone.
        let Some(latest) = self.server.get(&node.identity).await? else {
            return Ok(());
        };
        if waits {
            return self.end_foreground(&node.identity, &latest).await;
        }
        let references = latest.owner_references.as_deref().unwrap_or_default();
        let mut owners = Vec::with_capacity(references.len());
        for reference in references {
            match self.owner(reference, &node.identity).await? {
                Some(owner) => owners.push(owner),
                None => return Ok(()),
            }
        }
        let finalizers = latest.finalizers.as_deref().unwrap_or_default();
        let dependents = self.dependents(uid);
        match verdict(&owners, finalizers, &dependents) {
            Verdict::Keep => Ok(()),
            Verdict::Forget(lost) => {
                let rest = references.iter().enumerate();
                let rest = rest.filter(|(at, _)| !lost.contains(at));
                let rest: Vec<_> = rest.map(|(_, owner)| owner.clone()).collect();
                self.server.set_owners(&node.identity, &latest, &rest).await
            }
            Verdict::Delete { unblock: true, .. } if blocks(references) => {
                // Its new state is seen, and this is looked at again then.
                let free = references.iter().cloned().map(|owner| OwnerReference {
                    block_owner_deletion: Some(false),
                    ..owner
                });
                let free: Vec<_> = free.collect();
                self.server
                    .set_owners(&node.identity, &latest, &free)
                    .await?;
                self.delete.add_after(Item(Arc::clone(uid)), GC_OWNER_PAUSE);
                Ok(())
            }
            Verdict::Delete { policy, .. } => {
                tracing::debug!(object = %node.identity, ?policy, "deleting");
                self.server.delete(&node.identity, &latest, policy).await
            }
        }
    }

    /// An object of the graph, and whether all its owners are there; tells of references that lead to other
    /// namespaces.
    fn seen(&self, uid: &Uid) -> Option<(Node, bool)> {
        let graph = self.graph.lock();
        let node = graph.get(uid)?.clone();
        for owner in graph.foreign_owners(&node) {
            self.warn_of_namespace(&node.identity, owner);
        }
        let kept = graph.is_kept(&node);
        Some((node, kept))
    }

    fn warn_of_namespace(&self, object: &Identity, owner: &OwnerReference) {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let about = ObjectReference {
            api_version: text(&object.api_version),
            kind: text(&object.kind),
            namespace: text(&object.namespace),
            name: text(&object.name),
            uid: text(&object.uid),
            ..ObjectReference::default()
        };
        let claimed = identity(owner, &object.namespace);
        let message = format!(
            "ownerRef {claimed} does not exist in namespace {:?}",
            object.namespace
        );
        self.cx
            .events
            .warning_about(&about, "OwnerRefInvalidNamespace", message);
    }

    /// For each object that this one owns whether it waits for its own dependents.
    fn dependents(&self, uid: &Uid) -> Vec<bool> {
        let graph = self.graph.lock();
        let owned = graph.owned_by(uid).into_iter();
        owned.map(Node::waits_for_dependents).collect()
    }

    /// What the server says about an owner; `None` if the reference cannot be valid and is left alone.
    async fn owner(
        &self,
        reference: &OwnerReference,
        of: &Identity,
    ) -> Result<Option<Owner>, Failed> {
        let served = self
            .server
            .resource(&reference.api_version, &reference.kind)?;
        if served.namespaced && of.namespace.is_empty() {
            tracing::info!(object = %of, "outside of namespaces, with an owner in one");
            return Ok(None);
        }
        let namespace = match served.namespaced {
            true => &of.namespace,
            false => "",
        };
        let owner = identity(reference, namespace);
        if self.absent.lock().has(&owner) {
            return Ok(Some(Owner::Absent));
        }
        let Some(found) = self.server.get(&owner).await? else {
            self.absent.lock().add(owner);
            return Ok(Some(Owner::Absent));
        };
        let node = Node::new(&served.resource, &found);
        Ok(Some(match node.waits_for_dependents() {
            true => Owner::Waiting,
            false => Owner::Solid,
        }))
    }

    /// Lets an object go that has waited for its dependents, if none is left that holds it up.
    async fn end_foreground(&self, object: &Identity, latest: &ObjectMeta) -> Result<(), Failed> {
        let blocking: Vec<_> = {
            let graph = self.graph.lock();
            let blocking = graph.blocking(&object.uid).into_iter();
            blocking
                .map(|node| (Arc::clone(&node.identity.uid), node.waits_for_dependents()))
                .collect()
        };
        if blocking.is_empty() {
            return self
                .server
                .remove_finalizer(object, latest, FOREGROUND)
                .await;
        }
        for (uid, waits) in blocking {
            if !waits {
                self.delete.add(Item(uid));
            }
        }
        Ok(())
    }

    async fn attempt_to_orphan(&self, uid: &Uid) -> Result<(), Failed> {
        let Some((node, _)) = self.seen(uid) else {
            return Ok(());
        };
        let owned = self.owned(&node).await?;
        let letting_go = owned.into_iter().map(|(object, seen)| async move {
            let owners = seen.owner_references.clone().unwrap_or_default();
            let rest = owners.into_iter().filter(|owner| owner.uid != **uid);
            let rest: Vec<_> = rest.collect();
            self.server.set_owners(&object, &seen, &rest).await
        });
        let () = stream::iter(letting_go)
            .buffer_unordered(GC_PATCHES_AT_ONCE)
            .try_collect()
            .await?;
        match self.server.get(&node.identity).await? {
            Some(latest) => {
                let identity = &node.identity;
                self.server
                    .remove_finalizer(identity, &latest, ORPHAN)
                    .await
            }
            None => Ok(()),
        }
    }

    /// What refers to this object, as the server has it now. What owns objects of many namespaces is asked of the
    /// graph instead of listing everything there is.
    async fn owned(&self, owner: &Node) -> Result<Vec<(Identity, ObjectMeta)>, Failed> {
        let uid = &owner.identity.uid;
        if !owner.identity.namespace.is_empty() {
            let all = self.server.served.all().into_iter();
            let resources = all.filter(|served| served.namespaced && is_collected(served));
            let namespace = &owner.identity.namespace;
            return self
                .server
                .owned_in(namespace, uid, resources.collect())
                .await;
        }
        let seen: Vec<_> = {
            let graph = self.graph.lock();
            let owned = graph.owned_by(uid).into_iter();
            owned.map(|node| node.identity.clone()).collect()
        };
        let mut owned = Vec::with_capacity(seen.len());
        for object in seen {
            if let Some(meta) = self.server.get(&object).await? {
                owned.push((object, meta));
            }
        }
        Ok(owned)
    }
}

fn blocks(references: &[OwnerReference]) -> bool {
    references
        .iter()
        .any(|owner| owner.block_owner_deletion == Some(true))
}

fn identity(reference: &OwnerReference, namespace: &str) -> Identity {
    Identity {
        api_version: reference.api_version.clone(),
        kind: reference.kind.clone(),
        namespace: namespace.to_owned(),
        name: reference.name.clone(),
        uid: reference.uid.as_str().into(),
    }
}
