//! The controller's loops.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Service};
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{Change, Informer, Key, Kind, MetadataChange, Queue, follow_metadata};
use mainstay_schema::Resource;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::count::{Failed, api_resource, counted};
use super::watched::Watched;
use crate::context::Context;
use crate::limits::QUOTA_SETTLE_PAUSE;
use crate::pods::phase;

/// Counts what quotas are used up by whenever something may have been given back.
pub async fn resource_quotas(cx: Context) {
    let controller = Controller {
        quotas: cx.informers.of(),
        queue: cx.queue("resource_quota_controller_resource_changes"),
        watched: Watched::default(),
        followed: Mutex::default(),
        cx,
    };
    Arc::new(controller).run().await;
}

/// Resources that are followed, and the tasks that do it.
#[derive(Default)]
struct Followed {
    names: HashSet<(&'static str, &'static str)>,
    tasks: JoinSet<()>,
}

struct Controller {
    cx: Context,
    quotas: Arc<Informer<ResourceQuota>>,
    queue: Queue<Key>,
    watched: Watched,
    followed: Mutex<Followed>,
}

impl Controller {
    async fn run(self: Arc<Self>) {
        let this = Arc::clone(&self);
        self.quotas.on(move |change| this.quota_changed(&change));
        self.replenished_by::<Pod>("pods", |old, new| {
            ends(new) && !ends(old) || old.spec != new.spec
        });
        self.replenished_by::<Service>("services", |old, new| old.spec != new.spec);
        self.replenished_by::<PersistentVolumeClaim>("persistentvolumeclaims", |old, new| {
            let allocated = |claim: &PersistentVolumeClaim| {
                let status = claim.status.as_ref();
                status.and_then(|status| status.allocated_resources.clone())
            };
            old.spec != new.spec || allocated(old) != allocated(new)
        });
        self.quotas.synced().await;
        let again = async {
            let period = self.cx.options.resource_quota_sync_period;
            let rounds = self.cx.rounds("resource_quota_controller_all", period);
            let mut ticks = interval(period);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let all = async {
                    self.watched
                        .keys()
                        .into_iter()
                        .for_each(|key| self.queue.add(key))
                };
                rounds.round(all).await;
            }
        };
        let workers = self.cx.options.concurrent_resource_quota_syncs;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        tokio::join!(self.queue.work_for(&self, workers, work), again);
    }

    fn quota_changed(self: &Arc<Self>, change: &Change<'_, ResourceQuota>) {
        let quota = change.object();
        let key = Key::of(quota.as_ref());
        if let Change::Deleted(_) = change {
            self.watched.remove(&key);
            return;
        }
        let tracked = self.watched.put(&key, quota);
        for resource in tracked {
            self.follow(resource);
        }
        match change {
            // Usage grows by admission, which knows what it does: nothing has been given back.
            Change::Updated { old, new } if old.spec == new.spec && is_counted(new) => {}
            _ => self.queue.add(key),
        }
    }

    /// Objects of a kind that give something back when they go, or when `less` says so.
    fn replenished_by<K>(
        self: &Arc<Self>,
        plural: &'static str,
        less: impl Fn(&K, &K) -> bool + Send + Sync + 'static,
    ) where
        K: Kind + kube::Resource<Scope = NamespaceResourceScope>,
    {
        self.followed.lock().names.insert(("", plural));
        let this = Arc::clone(self);
        self.cx.informers.of::<K>().on(move |change| {
            let gives_back = match &change {
                Change::Added(_) => false,
                Change::Updated { old, new } => less(old, new),
                Change::Deleted(_) => true,
            };
            if gives_back {
                let namespace = change.object().meta().namespace.as_deref();
                this.given_back(namespace.unwrap_or_default(), "", plural);
            }
        });
    }

    /// Follows a resource of which only the number of objects matters.
    fn follow(self: &Arc<Self>, resource: &'static Resource) {
        let mut followed = self.followed.lock();
        if !followed.names.insert((resource.group, resource.plural)) {
            return;
        }
        let this = Arc::clone(self);
        followed.tasks.spawn(async move {
            let client = this.cx.client.clone();
            follow_metadata(client, &api_resource(resource), |change| {
                if let MetadataChange::Deleted { key, .. } | MetadataChange::Missing { key, .. } =
                    change
                {
                    this.given_back(&key.namespace, resource.group, resource.plural);
                }
            })
            .await;
        });
    }

    fn given_back(&self, namespace: &str, group: &str, plural: &str) {
        for key in self.watched.of(namespace, group, plural) {
            self.queue.add(key);
        }
    }

    async fn sync(&self, key: &Key) -> Result<Option<Duration>, Failed> {
        let Some(quota) = self.quotas.cache().get(key) else {
            return Ok(None);
        };
        if quota.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        // Admission charges a quota before the object is there to be counted: a count at once would take that
        // charge for an error, and let more in than fits.
        if is_counted(&quota) {
            let settled = self.watched.since(key, &quota).map(|since| since.elapsed());
            let settled = settled.unwrap_or_default();
            if settled < QUOTA_SETTLE_PAUSE {
                return Ok(Some(QUOTA_SETTLE_PAUSE - settled));
            }
        }
        let (status, error) = counted(&self.cx.client, &quota).await?;
        if status.is_some() {
            let told = ResourceQuota {
                status,
                ..ResourceQuota::clone(&quota)
            };
            let api: Api<ResourceQuota> = Api::namespaced(self.cx.client.clone(), &key.namespace);
            // With the resourceVersion of the cache: what was charged meanwhile is not overwritten.
            api.replace_status(&key.name, &PostParams::default(), &told)
                .await?;
        }
        error.map_or(Ok(None), |error| Err(error.into()))
    }
}

/// Whether somebody has counted it ever since its bounds are what they are.
fn is_counted(quota: &ResourceQuota) -> bool {
    let wanted = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    let status = quota.status.as_ref();
    status.is_some_and(|status| status.hard.as_ref() == wanted && status.used.is_some())
}

fn ends(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}
