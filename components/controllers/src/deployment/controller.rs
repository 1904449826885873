//! The controller's loop.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{Change, Claim, Informer, Key, Queue, Unseen, selector};

use super::bounds::Bounds;
use super::conditions::next_check;
use super::round::{Report, Round};
use super::sets::Sets;
use super::status::{Seen, same};
use crate::context::Context;
use crate::limits::UNSEEN_PAUSE;
use crate::owners::{concerned, owner_of};
use crate::pods::{by_controller, candidates, is_active};

/// Rolls out what deployments ask for.
pub async fn deployments(cx: Context) {
    Controller::new(cx).run().await;
}

struct Controller {
    cx: Context,
    deployments: Arc<Informer<Deployment>>,
    sets: Arc<Informer<ReplicaSet>>,
    pods: Arc<Informer<Pod>>,
    queue: Queue<Key>,
    unseen: Unseen,
}

impl Controller {
    fn new(cx: Context) -> Arc<Self> {
        let sets = cx.informers.of::<ReplicaSet>();
        let pods = cx.informers.of::<Pod>();
        by_controller(&sets);
        by_controller(&pods);
        Arc::new(Self {
            deployments: cx.informers.of::<Deployment>(),
            sets,
            pods,
            queue: cx.queue("deployment"),
            unseen: Unseen::default(),
            cx,
        })
    }

    async fn run(self: Arc<Self>) {
        let this = Arc::clone(&self);
        self.deployments
            .on(move |change| this.queue.add(this.unseen.owner(&change)));
        self.sets.on_for(&self, Self::set_changed);
        self.pods.on_for(&self, Self::pod_changed);
        self.deployments.synced().await;
        self.sets.synced().await;
        self.pods.synced().await;
        let workers = self.cx.options.concurrent_deployment_syncs;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, workers, work).await;
    }

    fn set_changed(&self, change: &Change<'_, ReplicaSet>) {
        let wanted = |deployment: &Deployment| {
            let wanted = deployment.spec.as_ref().map(|spec| &spec.selector);
            selector(wanted).ok().flatten()
        };
        for deployment in concerned(self.deployments.cache(), change, wanted) {
            self.queue.add(Key::of(deployment.as_ref()));
        }
    }

    /// The end of a pod lets a deployment go on that waits for all old ones to end.
    fn pod_changed(&self, change: &Change<'_, Pod>) {
        let ended = match change {
            Change::Added(_) => false,
            Change::Updated { old, new } => is_active(old) && !is_active(new),
            Change::Deleted(_) => true,
        };
        if !ended {
            return;
        }
        let pod = change.object();
        let set = owner_of(self.sets.cache(), pod.as_ref());
        let owner = set.and_then(|set| owner_of(self.deployments.cache(), set.as_ref()));
        if let Some(owner) = owner.filter(|owner| !Bounds::of(owner).rolling) {
            self.queue.add(Key::of(owner.as_ref()));
        }
    }

    async fn sync(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let Some(found) = self.deployments.cache().get(key) else {
            self.unseen.forget(key);
            return Ok(None);
        };
        let Some(spec) = &found.spec else {
            return Ok(None);
        };
        let wanted = match selector(Some(&spec.selector)) {
            Ok(Some(wanted)) if !wanted.selects_all() => wanted,
            Ok(_) => return self.refuse(&found).await,
            Err(error) => {
                tracing::warn!("{key} selects nothing: {error}");
                return Ok(None);
            }
        };
        let api = Api::namespaced(self.cx.client.clone(), &key.namespace);
        let claim = Claim {
            owner: found.as_ref(),
            owners: &Api::namespaced(self.cx.client.clone(), &key.namespace),
            selector: &wanted,
            finalizers: &[],
        };
        let look = || candidates(self.sets.cache(), found.as_ref());
        let (sets, knows) = self.unseen.look(key, &self.sets, look);
        if !knows {
            // What is decided from sizes that have changed since would be decided twice, and two old pods would go
            // where one may.
            return Ok(Some(UNSEEN_PAUSE));
        }
        let sets = claim.claim(&api, sets).await?;
        let mut round = Round {
            cx: &self.cx,
            unseen: &self.unseen,
            informer: &self.sets,
            key,
            pods: self.pods.cache(),
            api,
            draft: (*found).clone(),
            bounds: Bounds::of(&found),
            sets: Sets::split(&found, sets),
            now: Timestamp::now(),
        };
        let advanced = round.advance().await;
        self.tell(&found, round, advanced).await
    }

    /// Writes the status that a round has led to, if it is another one. A round that failed may have something to say
    /// as well.
    async fn tell(
        &self,
        found: &Deployment,
        round: Round<'_>,
        advanced: kube::Result<Report>,
    ) -> kube::Result<Option<Duration>> {
        let seen = Seen {
            deployment: &round.draft,
            bounds: &round.bounds,
            sets: &round.sets,
            now: round.now,
        };
        let status = match &advanced {
            Ok(Report::Counts) => seen.status(),
            Ok(Report::Rollout) => seen.rollout_status(),
            Err(_) => round.draft.status.clone().unwrap_or_default(),
        };
        let told = self.write_status(found, &round.draft, &status).await;
        advanced?;
        told?;
        Ok(next_check(&round.draft, &status, round.now))
    }

    async fn write_status(
        &self,
        found: &Deployment,
        draft: &Deployment,
        status: &DeploymentStatus,
    ) -> kube::Result<()> {
        let before = found.status.clone().unwrap_or_default();
        if found.metadata.annotations == draft.metadata.annotations && same(&before, status) {
            return Ok(());
        }
        let told = Deployment {
            status: Some(status.clone()),
            ..draft.clone()
        };
        let key = Key::of(found);
        let api: Api<Deployment> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        // With the resourceVersion of the cache: whoever is newer wins, and this is tried again then.
        api.replace_status(&key.name, &PostParams::default(), &told)
            .await
            .map(drop)
    }

    /// One that selects everything would take over the sets of all others.
    async fn refuse(&self, found: &Deployment) -> kube::Result<Option<Duration>> {
        let text = "This deployment is selecting all pods. A non-empty selector is required.";
        self.cx.events.warning(found, "SelectingAll", text);
        let mut status = found.status.clone().unwrap_or_default();
        status.observed_generation = found.metadata.generation;
        self.write_status(found, found, &status).await?;
        Ok(None)
    }
}
