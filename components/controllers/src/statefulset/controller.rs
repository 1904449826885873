//! The controller's loop.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::PostParams;
use kube::core::Selector;
use mainstay_client::{Change, Claim, Informer, Key, Queue, Unseen, controller_of, selector};

use super::act::{Act, Templates};
use super::identity::{is_member, revision};
use super::plan::{Seen, min_ready};
use super::status::{Counted, same};
use crate::context::Context;
use crate::history::{History, snapshot, template_of};
use crate::limits::UNSEEN_PAUSE;
use crate::owners::{available_after, concerned};
use crate::pods::{by_controller, candidates};

/// Keeps the pods of stateful sets, each with its identity.
pub async fn statefulsets(cx: Context) {
    Controller::new(cx).run().await;
}

struct Controller {
    cx: Context,
    sets: Arc<Informer<StatefulSet>>,
    pods: Arc<Informer<Pod>>,
    revisions: Arc<Informer<ControllerRevision>>,
    claims: Arc<Informer<PersistentVolumeClaim>>,
    queue: Queue<Key>,
    unseen: Unseen,
}

impl Controller {
    fn new(cx: Context) -> Arc<Self> {
        let pods = cx.informers.of::<Pod>();
        let revisions = cx.informers.of::<ControllerRevision>();
        by_controller(&pods);
        by_controller(&revisions);
        Arc::new(Self {
            sets: cx.informers.of::<StatefulSet>(),
            pods,
            revisions,
            claims: cx.informers.of::<PersistentVolumeClaim>(),
            queue: cx.queue("statefulset"),
            unseen: Unseen::default(),
            cx,
        })
    }

    async fn run(self: Arc<Self>) {
        let this = Arc::clone(&self);
        self.sets
            .on(move |change| this.queue.add(this.unseen.owner(&change)));
        self.pods.on_for(&self, Self::pod_changed);
        self.sets.synced().await;
        self.pods.synced().await;
        self.revisions.synced().await;
        self.claims.synced().await;
        let workers = self.cx.options.concurrent_statefulset_syncs;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, workers, work).await;
    }

    fn pod_changed(&self, change: &Change<'_, Pod>) {
        for set in concerned(self.sets.cache(), change, wanted) {
            let key = Key::of(set.as_ref());
            if let Some(pause) = available_after(change, min_ready(&set)) {
                self.queue.add_after(key.clone(), pause);
            }
            self.queue.add(key);
        }
    }

    async fn sync(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let Some(set) = self.sets.cache().get(key) else {
            self.unseen.forget(key);
            return Ok(None);
        };
        let Some(wanted) = wanted(&set) else {
            tracing::warn!("{key} selects nothing");
            return Ok(None);
        };
        let look = || {
            let mut pods = candidates(self.pods.cache(), set.as_ref());
            // What it controls stays its own, whatever it is called.
            pods.retain(|pod| controller_of(pod.as_ref()).is_some() || is_member(&set, pod));
            pods
        };
        let (pods, knows) = self.unseen.look(key, &self.pods, look);
        if !knows {
            // A pod of an identity may have been deleted or made that is not seen yet.
            return Ok(Some(UNSEEN_PAUSE));
        }
        let api = Api::namespaced(self.cx.client.clone(), &key.namespace);
        let claim = Claim {
            owner: set.as_ref(),
            owners: &Api::namespaced(self.cx.client.clone(), &key.namespace),
            selector: &wanted,
            finalizers: &[],
        };
        let pods = claim.claim(&api, pods).await?;
        self.sync_pods(key, &set, &wanted, &pods).await
    }

    async fn sync_pods(
        &self,
        key: &Key,
        set: &StatefulSet,
        wanted: &Selector,
        pods: &[Arc<Pod>],
    ) -> kube::Result<Option<Duration>> {
        let Some(spec) = &set.spec else {
            return Ok(None);
        };
        let before = set.status.clone().unwrap_or_default();
        let mut collisions = before.collision_count.unwrap_or(0);
        let mut history = History::of(&self.cx.client, self.revisions.cache(), set, wanted).await?;
        let data = snapshot(&spec.template);
        let labels = spec
            .template
            .metadata
            .as_ref()
            .and_then(|meta| meta.labels.as_ref());
        let update = history.newest(set, &data, labels, &mut collisions).await?;
        let named = |revision: &&Arc<ControllerRevision>| {
            revision.metadata.name.is_some() && revision.metadata.name == before.current_revision
        };
        let current = history.revisions.iter().find(named).unwrap_or(&update);
        let current_template = template_of(current).unwrap_or_else(|| spec.template.clone());
        let (current_name, update_name) = (name(current), name(&update));
        let now = Timestamp::now();
        let seen = Seen {
            set,
            pods,
            update_revision: update_name,
            now,
        };
        let act = Act {
            cx: &self.cx,
            key,
            set,
            templates: Templates {
                current: (current_name, &current_template),
                update: (update_name, &spec.template),
            },
            informer: &self.pods,
            unseen: &self.unseen,
            claims: self.claims.cache(),
        };
        let followed = act.follow(&seen.plan()).await;
        let counted = Counted {
            set,
            pods,
            current_revision: current_name,
            update_revision: update_name,
            collisions,
            now,
        };
        let status = counted.status();
        let told = self.tell(key, set, &before, &status).await;
        followed?;
        told?;
        if set.metadata.deletion_timestamp.is_none() {
            let used = used(pods, [current_name, update_name]);
            history
                .truncate(&used, spec.revision_history_limit.unwrap_or(10))
                .await?;
        }
        Ok(check_again(set, &status))
    }

    /// Writes the status if it is another one.
    async fn tell(
        &self,
        key: &Key,
        set: &StatefulSet,
        before: &StatefulSetStatus,
        status: &StatefulSetStatus,
    ) -> kube::Result<()> {
        if same(before, status) {
            return Ok(());
        }
        let told = StatefulSet {
            status: Some(status.clone()),
            ..set.clone()
        };
        let api: Api<StatefulSet> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        // With the resourceVersion of the cache: whoever is newer wins, and this is tried again then.
        api.replace_status(&key.name, &PostParams::default(), &told)
            .await
            .map(drop)
    }
}

fn wanted(set: &StatefulSet) -> Option<Selector> {
    let wanted = set.spec.as_ref().map(|spec| &spec.selector);
    selector(wanted).ok().flatten()
}

fn name(revision: &ControllerRevision) -> &str {
    revision.metadata.name.as_deref().unwrap_or_default()
}

/// Names of revisions that pods are of, or that new ones may be of.
fn used(pods: &[Arc<Pod>], names: [&str; 2]) -> HashSet<String> {
    let of_pods = pods.iter().filter_map(|pod| revision(pod));
    of_pods.chain(names).map(str::to_owned).collect()
}

/// When pods that are ready may have become available.
fn check_again(set: &StatefulSet, status: &StatefulSetStatus) -> Option<Duration> {
    let needs = u64::try_from(min_ready(set)).unwrap_or(0);
    let waits = status.available_replicas < status.ready_replicas;
    (needs > 0 && waits).then(|| Duration::from_secs(needs))
}
