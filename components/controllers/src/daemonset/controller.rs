//! The controller's loop.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::PostParams;
use kube::core::Selector;
use mainstay_client::{Change, Claim, Informer, Key, Queue, Unseen, selector};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::place::{Fit, Place};
use super::plan::{ByNode, Plan, Rules, by_node};
use super::pod::{hash_of, pod};
use super::rolling::{Bounds, is_rolling, replaced, surged};
use super::status::{same, status};
use crate::context::Context;
use crate::history::{DAEMON_HASH, History, snapshot};
use crate::limits::{DAEMONS_AT_ONCE, UNSEEN_PAUSE};
use crate::owners::{available_after, concerned};
use crate::pods::{
    PodControl, by_controller, candidates, is_ready, namespace_goes, phase, slow_start,
};

/// Keeps a pod of each daemon set on each node that fits.
pub async fn daemonsets(cx: Context) {
    Controller::new(cx).run().await;
}

struct Controller {
    cx: Context,
    sets: Arc<Informer<DaemonSet>>,
    pods: Arc<Informer<Pod>>,
    nodes: Arc<Informer<Node>>,
    revisions: Arc<Informer<ControllerRevision>>,
    queue: Queue<Key>,
    unseen: Unseen,
    backoff: Backoff,
}

/// What one round knows.
struct Round<'a> {
    key: &'a Key,
    set: &'a DaemonSet,
    rules: Rules<'a>,
    fits: BTreeMap<String, Fit>,
    pods: ByNode,
}

impl Controller {
    fn new(cx: Context) -> Arc<Self> {
        let pods = cx.informers.of::<Pod>();
        let revisions = cx.informers.of::<ControllerRevision>();
        by_controller(&pods);
        by_controller(&revisions);
        Arc::new(Self {
            sets: cx.informers.of::<DaemonSet>(),
            pods,
            nodes: cx.informers.of::<Node>(),
            revisions,
            queue: cx.queue("daemonset"),
            unseen: Unseen::default(),
            backoff: Backoff::default(),
            cx,
        })
    }

    async fn run(self: Arc<Self>) {
        let this = Arc::clone(&self);
        self.sets
            .on(move |change| this.queue.add(this.unseen.owner(&change)));
        self.pods.on_for(&self, Self::pod_changed);
        self.nodes.on_for(&self, Self::node_changed);
        self.sets.synced().await;
        self.pods.synced().await;
        self.nodes.synced().await;
        self.revisions.synced().await;
        let workers = self.cx.options.concurrent_daemonset_syncs;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, workers, work).await;
    }

    /// A node comes, goes, or becomes another one for some of the sets.
    fn node_changed(&self, change: &Change<'_, Node>) {
        let (old, new) = match change {
            Change::Added(node) => (None, Some(*node)),
            Change::Deleted(node) => (Some(*node), None),
            Change::Updated { old, new } => {
                let taints = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone());
                if old.metadata.labels == new.metadata.labels && taints(old) == taints(new) {
                    return;
                }
                (Some(*old), Some(*new))
            }
        };
        for set in self.sets.cache().all() {
            let place = Place::of(&set);
            let fit = |node: Option<&Arc<Node>>| node.map_or(Fit::None, |node| place.fit(node));
            if fit(old) != fit(new) {
                self.queue.add(Key::of(set.as_ref()));
            }
        }
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
        if wanted.selects_all() {
            let text = "This daemon set is selecting all pods. A non-empty selector is required.";
            self.cx.events.warning(set.as_ref(), "SelectingAll", text);
            return Ok(None);
        }
        if set.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let look = || candidates(self.pods.cache(), set.as_ref());
        let (pods, knows) = self.unseen.look(key, &self.pods, look);
        if !knows {
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
        set: &DaemonSet,
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
        let newest = history.newest(set, &data, labels, &mut collisions).await?;
        let round = self.round(key, set, hash(&newest), pods);
        let managed = self.manage(&round).await;
        let told = self.tell(&round, collisions).await;
        let again = managed?;
        told?;
        let used = used(&history.revisions, &newest, pods);
        history
            .truncate(&used, spec.revision_history_limit.unwrap_or(10))
            .await?;
        Ok(again.or_else(|| check_again(set, &round)))
    }

    fn round<'a>(
        &self,
        key: &'a Key,
        set: &'a DaemonSet,
        hash: &'a str,
        pods: &[Arc<Pod>],
    ) -> Round<'a> {
        let place = Place::of(set);
        let nodes = self.nodes.cache().all().into_iter();
        let fits: BTreeMap<_, _> = nodes
            .map(|node| {
                (
                    node.metadata.name.clone().unwrap_or_default(),
                    place.fit(&node),
                )
            })
            .collect();
        let bounds = Bounds::of(set, runs(&fits));
        Round {
            key,
            set,
            rules: Rules {
                hash,
                surges: is_rolling(set) && bounds.surge > 0,
                min_ready_seconds: min_ready(set),
                now: Timestamp::now(),
            },
            fits,
            pods: by_node(pods),
        }
    }

    /// Brings pods to nodes and away from them, and if nothing was to be done updates some. Returns when pods that
    /// failed may be replaced.
    async fn manage(&self, round: &Round<'_>) -> kube::Result<Option<Duration>> {
        let mut plan = Plan::of(&round.rules, &round.fits, &round.pods);
        let again = self.replace_ended(round, &mut plan);
        let nothing = plan.create.is_empty() && plan.delete.is_empty();
        self.follow(round, &plan).await?;
        // What was done is not seen yet; an update that is decided from what was there would take other pods away.
        if nothing && is_rolling(round.set) {
            let bounds = Bounds::of(round.set, runs(&round.fits));
            let plan = match bounds.surge {
                0 => replaced(&round.rules, bounds, &round.pods),
                _ => surged(&round.rules, bounds, &round.fits, &round.pods),
            };
            self.follow(round, &plan).await?;
        }
        Ok(again)
    }

    fn replace_ended(&self, round: &Round<'_>, plan: &mut Plan) -> Option<Duration> {
        let mut again: Option<Duration> = None;
        let uid = round.set.metadata.uid.as_deref().unwrap_or_default();
        let generation = round.set.metadata.generation.unwrap_or(0);
        // Another template may do better.
        let set = format!("{uid}/{generation}");
        for (node, pod) in std::mem::take(&mut plan.ended) {
            let name = Key::of(pod.as_ref());
            if phase(&pod) == "Failed" {
                if let Err(wait) = self.backoff.pass(&set, &node, Instant::now()) {
                    again = Some(again.map_or(wait, |again| again.min(wait)));
                    continue;
                }
                let text =
                    format!("Found failed daemon pod {name} on node {node}, will try to kill it");
                self.cx.events.warning(round.set, "FailedDaemonPod", text);
            } else {
                let text = format!(
                    "Found succeeded daemon pod {name} on node {node}, will try to delete it"
                );
                self.cx.events.normal(round.set, "SucceededDaemonPod", text);
            }
            plan.delete.push(pod);
        }
        again
    }

    async fn follow(&self, round: &Round<'_>, plan: &Plan) -> kube::Result<()> {
        let control = PodControl::new(&self.cx.client, &self.cx.events, round.set);
        let create = &plan.create[..plan.create.len().min(DAEMONS_AT_ONCE)];
        let next = AtomicUsize::new(0);
        let one = || {
            let node = &create[next.fetch_add(1, Ordering::Relaxed)];
            self.create_one(round, &control, node)
        };
        let (_, _, created) = slow_start(create.len(), one).await;
        let delete = plan.delete.iter().take(DAEMONS_AT_ONCE);
        let deleted = join_all(delete.map(|pod| async {
            control.delete(pod).await?;
            self.unseen.deleted(round.key, pod.as_ref());
            Ok(())
        }))
        .await;
        let created = created.map_or(Ok(()), Err);
        deleted.into_iter().fold(created, Result::and)
    }

    async fn create_one(
        &self,
        round: &Round<'_>,
        control: &PodControl<'_, DaemonSet>,
        node: &str,
    ) -> kube::Result<()> {
        match control
            .create(&pod(round.set, round.rules.hash, node))
            .await
        {
            Ok(created) => {
                self.unseen.created(round.key, &self.pods, &created);
                Ok(())
            }
            Err(error) if namespace_goes(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes the status if it is another one.
    async fn tell(&self, round: &Round<'_>, collisions: i32) -> kube::Result<()> {
        let status = status(
            round.set,
            &round.rules,
            &round.fits,
            &round.pods,
            collisions,
        );
        if round
            .set
            .status
            .as_ref()
            .is_some_and(|before| same(before, &status))
        {
            return Ok(());
        }
        let told = DaemonSet {
            status: Some(status),
            ..round.set.clone()
        };
        let api: Api<DaemonSet> = Api::namespaced(self.cx.client.clone(), &round.key.namespace);
        // With the resourceVersion of the cache: whoever is newer wins, and this is tried again then.
        api.replace_status(&round.key.name, &PostParams::default(), &told)
            .await
            .map(drop)
    }
}

fn runs(fits: &BTreeMap<String, Fit>) -> usize {
    fits.values().filter(|fit| **fit == Fit::Runs).count()
}

fn min_ready(set: &DaemonSet) -> i32 {
    let seconds = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
    seconds.unwrap_or(0)
}

fn wanted(set: &DaemonSet) -> Option<Selector> {
    let wanted = set.spec.as_ref().map(|spec| &spec.selector);
    selector(wanted).ok().flatten()
}

fn hash(revision: &ControllerRevision) -> &str {
    let labels = revision.metadata.labels.as_ref();
    let hash = labels.and_then(|labels| labels.get(DAEMON_HASH));
    hash.map(String::as_str).unwrap_or_default()
}

/// Names of the newest revision and of those that pods are of.
fn used(
    revisions: &[Arc<ControllerRevision>],
    newest: &ControllerRevision,
    pods: &[Arc<Pod>],
) -> HashSet<String> {
    let hashes: HashSet<_> = pods.iter().filter_map(|pod| hash_of(pod)).collect();
    let of_pods = revisions
        .iter()
        .filter(|revision| hashes.contains(hash(revision)));
    let names = of_pods.filter_map(|revision| revision.metadata.name.clone());
    names.chain(newest.metadata.name.clone()).collect()
}

/// When pods that are ready may have become available.
fn check_again(set: &DaemonSet, round: &Round<'_>) -> Option<Duration> {
    let needs = u64::try_from(min_ready(set)).unwrap_or(0);
    let mut pods = round.pods.values().flatten();
    let waits = pods.any(|pod| is_ready(pod) && !round.rules.is_available(pod));
    (needs > 0 && waits).then(|| Duration::from_secs(needs))
}
