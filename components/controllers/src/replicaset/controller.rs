//! The controller's loop.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{
    Change, Claim, Informer, Key, Queue, Unseen, controller_of, is_controlled_by,
};

use super::kind::Replicated;
use super::rank::sort_for_deletion;
use super::status::{Failure, Seen, Status};
use crate::context::Context;
use crate::limits::{DELETIONS_AT_ONCE, REPLICAS_AT_ONCE, UNSEEN_PAUSE};
use crate::owners::{available_after, concerned};
use crate::pods::{
    PodControl, by_controller, candidates, is_active, namespace_goes, pod_from, reason, slow_start,
};

/// Keeps as many pods as replica sets ask for.
pub async fn replicasets(cx: Context) {
    let workers = cx.options.concurrent_replicaset_syncs;
    Controller::<ReplicaSet>::new(cx, "replicaset")
        .run(workers)
        .await;
}

/// Keeps as many pods as replication controllers ask for.
pub async fn replication_controllers(cx: Context) {
    let workers = cx.options.concurrent_replication_controller_syncs;
    let controller = Controller::<ReplicationController>::new(cx, "replicationmanager");
    controller.run(workers).await;
}

/// What a round leaves undone.
type Failed = kube::Error;

struct Controller<O> {
    cx: Context,
    owners: Arc<Informer<O>>,
    pods: Arc<Informer<Pod>>,
    queue: Queue<Key>,
    unseen: Unseen,
}

impl<O: Replicated> Controller<O> {
    fn new(cx: Context, queue: &str) -> Arc<Self> {
        let owners = cx.informers.of::<O>();
        let pods = cx.informers.of::<Pod>();
        by_controller(&pods);
        Arc::new(Self {
            queue: cx.queue(queue),
            cx,
            owners,
            pods,
            unseen: Unseen::default(),
        })
    }

    async fn run(self: Arc<Self>, workers: usize) {
        self.owners.on_for(&self, Self::owner_changed);
        self.pods.on_for(&self, Self::pod_changed);
        self.owners.synced().await;
        self.pods.synced().await;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, workers, work).await;
    }

    fn owner_changed(&self, change: &Change<'_, O>) {
        self.queue.add(self.unseen.owner(change));
    }

    fn pod_changed(&self, change: &Change<'_, Pod>) {
        let wanted = |owner: &O| owner.selector().ok().flatten();
        for owner in concerned(self.owners.cache(), change, wanted) {
            let key = Key::of(owner.as_ref());
            if let Some(pause) = available_after(change, owner.min_ready_seconds()) {
                self.queue.add_after(key.clone(), pause);
            }
            self.queue.add(key);
        }
    }

    async fn sync(&self, key: &Key) -> Result<Option<Duration>, Failed> {
        let Some(owner) = self.owners.cache().get(key) else {
            self.unseen.forget(key);
            return Ok(None);
        };
        let selector = match owner.selector() {
            Ok(Some(selector)) => selector,
            Ok(None) => return Ok(None),
            Err(error) => {
                tracing::warn!("{key} selects nothing: {error}");
                return Ok(None);
            }
        };
        let look = || candidates(self.pods.cache(), owner.as_ref());
        let (found, knows) = self.unseen.look(key, &self.pods, look);
        let going = |pod: &Arc<Pod>| {
            pod.metadata.deletion_timestamp.is_some()
                && is_controlled_by(pod.as_ref(), owner.as_ref())
        };
        let terminating = found.iter().filter(|pod| going(pod)).count();
        let active = found.into_iter().filter(|pod| is_active(pod)).collect();
        let claim = Claim {
            owner: owner.as_ref(),
            owners: &Api::namespaced(self.cx.client.clone(), &key.namespace),
            selector: &selector,
            finalizers: &[],
        };
        let api = Api::namespaced(self.cx.client.clone(), &key.namespace);
        let active = claim.claim(&api, active).await?;
        let active: Vec<&Pod> = active.iter().map(AsRef::as_ref).collect();
        let managed = if knows && owner.meta().deletion_timestamp.is_none() {
            self.manage(key, owner.as_ref(), &active).await
        } else {
            Ok(())
        };
        let failure = managed.as_ref().err().map(|error| Failure {
            reason: match active.len() < owner.replicas() {
                true => "FailedCreate",
                false => "FailedDelete",
            },
            message: reason(error),
        });
        let seen = Seen {
            active: &active,
            terminating,
            template: owner.template(),
            min_ready_seconds: owner.min_ready_seconds(),
            generation: owner.meta().generation.unwrap_or(0),
            now: Timestamp::now(),
        };
        let status = self
            .tell(key, owner.as_ref(), &seen, failure.as_ref())
            .await?;
        managed?;
        let waits = owner.min_ready_seconds() > 0
            && status.ready == i32::try_from(owner.replicas()).unwrap_or(i32::MAX)
            && status.available < status.ready;
        let least = u64::try_from(owner.min_ready_seconds()).unwrap_or(0);
        Ok(match waits {
            true => Some(Duration::from_secs(least)),
            // What is waited for may be told of by no event.
            false if !knows => Some(UNSEEN_PAUSE),
            false => None,
        })
    }

    async fn manage(&self, key: &Key, owner: &O, active: &[&Pod]) -> Result<(), Failed> {
        let wanted = owner.replicas();
        if active.len() < wanted {
            let missing = (wanted - active.len()).min(REPLICAS_AT_ONCE);
            return self.create(key, owner, missing).await;
        }
        let surplus = (active.len() - wanted).min(REPLICAS_AT_ONCE);
        if surplus == 0 {
            return Ok(());
        }
        let related = self.related(owner);
        let related: Vec<&Pod> = related.iter().map(AsRef::as_ref).collect();
        let mut sorted = active.to_vec();
        if surplus < active.len() {
            sort_for_deletion(&mut sorted, &related, Timestamp::now());
        }
        self.delete(key, owner, &sorted[..surplus]).await
    }

    async fn create(&self, key: &Key, owner: &O, missing: usize) -> Result<(), Failed> {
        let Some(template) = owner.template() else {
            return Ok(());
        };
        let pod = pod_from(template, owner);
        let control = PodControl::new(&self.cx.client, &self.cx.events, owner);
        let one = || async {
            match control.create(&pod).await {
                Ok(pod) => {
                    self.unseen.created(key, &self.pods, &pod);
                    Ok(())
                }
                Err(error) if namespace_goes(&error) => Ok(()),
                // Whether it was made is not known after some of them; if it was, one too many is seen and deleted.
                Err(error) => Err(error),
            }
        };
        let (_, _, error) = slow_start(missing, one).await;
        error.map_or(Ok(()), Err)
    }

    async fn delete(&self, key: &Key, owner: &O, pods: &[&Pod]) -> Result<(), Failed> {
        let control = PodControl::new(&self.cx.client, &self.cx.events, owner);
        let mut under_way = FuturesUnordered::new();
        let mut result = Ok(());
        for pod in pods {
            if under_way.len() >= DELETIONS_AT_ONCE
                && let Some(answer) = under_way.next().await
            {
                result = result.and(answer);
            }
            under_way.push(self.delete_one(key, &control, pod));
        }
        while let Some(answer) = under_way.next().await {
            result = result.and(answer);
        }
        result
    }

    async fn delete_one(
        &self,
        key: &Key,
        control: &PodControl<'_, O>,
        pod: &Pod,
    ) -> Result<(), Failed> {
        control.delete(pod).await?;
        self.unseen.deleted(key, pod);
        Ok(())
    }

    /// Active pods of all owners of this kind that have the same controller, as those of one deployment.
    fn related(&self, owner: &O) -> Vec<Arc<Pod>> {
        let namespace = owner.meta().namespace.as_deref().unwrap_or_default();
        let above = controller_of(owner).map(|reference| reference.uid.clone());
        let owners = self.owners.cache().in_namespace(namespace).into_iter();
        let siblings = owners.filter(|other| match &above {
            Some(uid) => controller_of(other.as_ref()).is_some_and(|r| &r.uid == uid),
            None => other.meta().uid == owner.meta().uid,
        });
        let pods = siblings.flat_map(|other| candidates(self.pods.cache(), other.as_ref()));
        let controlled = pods.filter(|pod| controller_of(pod.as_ref()).is_some());
        controlled.filter(|pod| is_active(pod)).collect()
    }

    /// Writes the status if it is another one.
    async fn tell(
        &self,
        key: &Key,
        owner: &O,
        seen: &Seen<'_>,
        failure: Option<&Failure>,
    ) -> Result<Status, Failed> {
        let old = owner.status();
        let status = old.after(seen, failure);
        if old == status {
            return Ok(status);
        }
        let api: Api<O> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        let told = owner.with_status(status.clone());
        // With the resourceVersion of the cache: whoever is newer wins, and this is tried again then.
        api.replace_status(&key.name, &PostParams::default(), &told)
            .await?;
        Ok(status)
    }
}
