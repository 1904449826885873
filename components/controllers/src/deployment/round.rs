//! One look at one deployment, and what it leads to.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{
    Cache, Informer, Key, Unseen, controller_ref, delete_exactly, is_conflict, is_controlled_by,
};

use super::annotations::{annotate, next_revision, note_size, show_revision};
use super::bounds::Bounds;
use super::conditions::{PROGRESSING, condition, deadline, has_reason, progressing, reason, set};
use super::proportional;
use super::rolling::{grown, shrunk};
use super::sets::{Sets, Size, TEMPLATE_HASH, replicas, same_template, template_of};
use super::status::is_complete;
use crate::context::Context;
use crate::hash::name_of;
use crate::limits::NAME_MAX;
use crate::pods::{namespace_goes, owned, phase, reason as said};

/// Which status follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// Nothing was rolled out: only the counts.
    Counts,
    Rollout,
}

pub(super) struct Round<'a> {
    pub(super) cx: &'a Context,
    pub(super) unseen: &'a Unseen,
    pub(super) informer: &'a Informer<ReplicaSet>,
    pub(super) key: &'a Key,
    pub(super) pods: &'a Cache<Pod>,
    pub(super) api: Api<ReplicaSet>,
    /// As it was read, with the conditions and annotations that this round adds; written at its end.
    pub(super) draft: Deployment,
    pub(super) bounds: Bounds,
    pub(super) sets: Sets,
    pub(super) now: Timestamp,
}

impl Round<'_> {
    pub(super) async fn advance(&mut self) -> kube::Result<Report> {
        let paused = self.draft.spec.as_ref().and_then(|spec| spec.paused) == Some(true);
        let goes = self.draft.metadata.deletion_timestamp.is_some();
        if !goes {
            self.note_pause(paused);
        }
        self.sync_revision().await?;
        if goes {
            return Ok(Report::Counts);
        }
        let sizes: Vec<_> = self.sets.all().map(|set| Size::of(set)).collect();
        if paused || proportional::is_due(&self.bounds, &sizes) {
            self.scale_all(&sizes).await?;
            if paused {
                self.clean_up().await?;
            }
            return Ok(Report::Counts);
        }
        let done = match self.bounds.rolling {
            true => self.roll().await?,
            false => self.recreate().await?,
        };
        let status = self.draft.status.clone().unwrap_or_default();
        if done && is_complete(&self.draft, &self.bounds, &status) {
            self.clean_up().await?;
        }
        Ok(Report::Rollout)
    }

    fn progress(&mut self, status: &str, reason: &str, message: String) {
        let told: DeploymentCondition = condition(PROGRESSING, status, reason, message, self.now);
        set(self.draft.status.get_or_insert_default(), told);
    }

    /// A pause stops the clock of the deadline, unless it has run out.
    fn note_pause(&mut self, paused: bool) {
        let is = |reason| has_reason(progressing(&self.draft), reason);
        let noted = is(reason::PAUSED);
        if deadline(&self.draft).is_none() || is(reason::TIMED_OUT) || noted == paused {
            return;
        }
        let (reason, message) = match paused {
            true => (reason::PAUSED, "Deployment is paused"),
            false => (reason::RESUMED, "Deployment is resumed"),
        };
        self.progress("Unknown", reason, message.to_owned());
    }

    /// The set of the template of now has the last revision, and the deployment shows it.
    async fn sync_revision(&mut self) -> kube::Result<()> {
        let Some(found) = self.sets.new.clone() else {
            return Ok(());
        };
        let mut changed = (*found).clone();
        let revision = next_revision(&self.sets.old);
        let annotated = annotate(&self.draft, &mut changed, revision);
        let seconds = self
            .draft
            .spec
            .as_ref()
            .and_then(|spec| spec.min_ready_seconds);
        let spec = changed.spec.get_or_insert_default();
        let readiness = spec.min_ready_seconds.unwrap_or(0) != seconds.unwrap_or(0);
        spec.min_ready_seconds = seconds;
        let set = match annotated || readiness {
            true => self.write(&changed).await?,
            false => found,
        };
        let shown = show_revision(&mut self.draft, &set);
        // Also a rollout to a set that was made before, or by a controller that ended before it could say so, has
        // its own time.
        let now = progressing(&self.draft);
        let begins = now.is_none() || shown && has_reason(now, reason::SET_AVAILABLE);
        if deadline(&self.draft).is_some() && begins {
            let message = format!("Found new replica set \"{}\"", name(&set));
            self.progress("True", reason::FOUND_SET, message);
        }
        Ok(())
    }

    /// Whether nothing is left to do for now.
    async fn roll(&mut self) -> kube::Result<bool> {
        let new = match self.sets.new.clone() {
            Some(new) => new,
            None => self.create().await?,
        };
        let size = Size::of(&new);
        let old = self.sets.old_sizes();
        if self.resize(&new, grown(&self.bounds, &size, &old)).await? {
            return Ok(false);
        }
        let mut shrank = false;
        let sizes = shrunk(&self.bounds, &size, &old);
        for (set, size) in self.sets.old.clone().iter().zip(sizes) {
            if size < replicas(set) {
                shrank |= self.resize(set, size).await?;
            }
        }
        Ok(!shrank)
    }

    /// Whether nothing is left to do for now.
    async fn recreate(&mut self) -> kube::Result<bool> {
        let mut shrank = false;
        for set in self.sets.old.clone() {
            if replicas(&set) > 0 {
                shrank |= self.resize(&set, 0).await?;
            }
        }
        if shrank || self.old_pods_run() {
            return Ok(false);
        }
        let new = match self.sets.new.clone() {
            Some(new) => new,
            None => self.create().await?,
        };
        self.resize(&new, self.bounds.replicas).await?;
        Ok(true)
    }

    /// Whether pods of former templates are there that may still run.
    fn old_pods_run(&self) -> bool {
        let counted = |set: &Arc<ReplicaSet>| {
            set.status
                .as_ref()
                .is_some_and(|status| status.replicas > 0)
        };
        let runs = |pod: &Arc<Pod>| !matches!(phase(pod), "Failed" | "Succeeded");
        self.sets
            .old
            .iter()
            .any(|set| counted(set) || owned(self.pods, set.as_ref()).iter().any(runs))
    }

    async fn scale_all(&mut self, sizes: &[Size]) -> kube::Result<()> {
        let new = self.sets.new.is_some().then_some(self.sets.old.len());
        let status = self.draft.status.as_ref();
        let before = status.and_then(|status| status.replicas).unwrap_or(0);
        let all: Vec<_> = self.sets.all().cloned().collect();
        for (at, size) in proportional::scaled(&self.bounds, sizes, new, before) {
            self.write_size(&all[at], size).await?;
        }
        Ok(())
    }

    /// Whether it had another size.
    async fn resize(&mut self, set: &ReplicaSet, size: i32) -> kube::Result<bool> {
        if replicas(set) == size {
            return Ok(false);
        }
        self.write_size(set, size).await?;
        Ok(true)
    }

    async fn write_size(&mut self, set: &ReplicaSet, size: i32) -> kube::Result<()> {
        let before = replicas(set);
        let mut changed = set.clone();
        changed.spec.get_or_insert_default().replicas = Some(size);
        let noted = note_size(&mut changed, self.bounds.replicas, self.bounds.most());
        if before == size && !noted {
            return Ok(());
        }
        self.write(&changed).await?;
        if before != size {
            let which = if before < size { "up" } else { "down" };
            let text = format!(
                "Scaled {which} replica set {} from {before} to {size}",
                name(set)
            );
            self.cx
                .events
                .normal(&self.draft, "ScalingReplicaSet", text);
        }
        Ok(())
    }

    /// With the resourceVersion it was read with: what somebody else has changed meanwhile is not undone.
    async fn write(&mut self, set: &ReplicaSet) -> kube::Result<Arc<ReplicaSet>> {
        let written = self
            .api
            .replace(name(set), &PostParams::default(), set)
            .await?;
        self.unseen.created(self.key, self.informer, &written);
        let written = Arc::new(written);
        self.sets.replace(Arc::clone(&written));
        Ok(written)
    }

    /// Makes the set of the template of now, as large as it may be.
    async fn create(&mut self) -> kube::Result<Arc<ReplicaSet>> {
        let wanted = self.new_set();
        let size = replicas(&wanted);
        match self.api.create(&PostParams::default(), &wanted).await {
            Ok(made) => {
                self.unseen.created(self.key, self.informer, &made);
                if size > 0 {
                    let text = format!("Scaled up replica set {} from 0 to {size}", name(&made));
                    self.cx
                        .events
                        .normal(&self.draft, "ScalingReplicaSet", text);
                }
                if deadline(&self.draft).is_some() {
                    let message = format!("Created new replica set \"{}\"", name(&made));
                    self.progress("True", reason::NEW_SET, message);
                }
                Ok(self.created(made))
            }
            Err(error) if is_conflict(&error) => self.name_is_taken(&wanted, error).await,
            Err(error) if namespace_goes(&error) => Err(error),
            Err(error) => {
                let why = format!(
                    "Failed to create new replica set \"{}\": {}",
                    name(&wanted),
                    said(&error)
                );
                if deadline(&self.draft).is_some() {
                    self.progress("False", reason::SET_FAILED, why.clone());
                }
                self.cx.events.warning(&self.draft, reason::SET_FAILED, why);
                Err(error)
            }
        }
    }

    fn created(&mut self, set: ReplicaSet) -> Arc<ReplicaSet> {
        show_revision(&mut self.draft, &set);
        let set = Arc::new(set);
        self.sets.new = Some(Arc::clone(&set));
        set
    }

    fn new_set(&self) -> ReplicaSet {
        let spec = self.draft.spec.clone().unwrap_or_default();
        let collisions = self
            .draft
            .status
            .as_ref()
            .and_then(|status| status.collision_count);
        let hash = name_of(&spec.template, collisions);
        let mut template = spec.template;
        let labels = template
            .metadata
            .get_or_insert_default()
            .labels
            .get_or_insert_default();
        labels.insert(TEMPLATE_HASH.to_owned(), hash.clone());
        let labels = labels.clone();
        let mut selector = spec.selector;
        let exactly = selector.match_labels.get_or_insert_default();
        exactly.insert(TEMPLATE_HASH.to_owned(), hash.clone());
        let size = grown(&self.bounds, &Size::default(), &self.sets.old_sizes());
        let mut set = ReplicaSet {
            spec: Some(ReplicaSetSpec {
                replicas: Some(size),
                min_ready_seconds: spec.min_ready_seconds,
                selector,
                template: Some(template),
            }),
            ..ReplicaSet::default()
        };
        set.metadata.name = Some(set_name(&self.key.name, &hash));
        set.metadata.namespace = Some(self.key.namespace.clone());
        set.metadata.labels = Some(labels);
        set.metadata.owner_references = Some(vec![controller_ref(&self.draft)]);
        annotate(&self.draft, &mut set, next_revision(&self.sets.old));
        note_size(&mut set, self.bounds.replicas, self.bounds.most());
        set
    }

    /// By the set itself, which the cache does not show yet, or by another one: then the hash needs another seed.
    async fn name_is_taken(
        &mut self,
        wanted: &ReplicaSet,
        error: kube::Error,
    ) -> kube::Result<Arc<ReplicaSet>> {
        let Some(found) = self.api.get_opt(name(wanted)).await? else {
            return Err(error);
        };
        let same = match (template_of(wanted), template_of(&found)) {
            (Some(wanted), Some(found)) => same_template(wanted, found),
            _ => false,
        };
        if same && is_controlled_by(&found, &self.draft) {
            return Ok(self.created(found));
        }
        let status = self.draft.status.get_or_insert_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0).saturating_add(1));
        Err(error)
    }

    /// Deletes the oldest sets beyond the history that is kept.
    async fn clean_up(&mut self) -> kube::Result<()> {
        let spec = self.draft.spec.as_ref();
        let limit = spec.and_then(|spec| spec.revision_history_limit);
        let Some(limit) = limit.filter(|limit| *limit != i32::MAX) else {
            return Ok(());
        };
        for set in super::cleanup::surplus(&self.sets.old, limit) {
            if delete_exactly(&self.api, set.as_ref()).await? {
                self.unseen.deleted(self.key, set.as_ref());
            }
        }
        Ok(())
    }
}

fn name(set: &ReplicaSet) -> &str {
    set.metadata.name.as_deref().unwrap_or_default()
}

fn set_name(deployment: &str, hash: &str) -> String {
    let most = NAME_MAX - hash.len() - 1;
    // Names are ASCII.
    let name = deployment.get(..most).unwrap_or(deployment);
    format!("{name}-{hash}")
}
