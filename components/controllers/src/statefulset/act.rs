//! Doing what a plan says.

use std::sync::Arc;

use futures_util::future::join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodTemplateSpec};
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{Cache, Informer, Key, Unseen, already_exists, delete_exactly, is_conflict};

use super::identity::{attach, claims, identify, is_attached, is_identified, pod, set_name};
use super::plan::{Plan, Step, is_current, is_ordered};
use super::retention::{corrected, is_stale};
use crate::context::Context;
use crate::limits::PODS_AT_ONCE;
use crate::pods::reason;

/// Templates of the two revisions, with their names.
pub(super) struct Templates<'a> {
    pub(super) current: (&'a str, &'a PodTemplateSpec),
    pub(super) update: (&'a str, &'a PodTemplateSpec),
}

pub(super) struct Act<'a> {
    pub(super) cx: &'a Context,
    pub(super) key: &'a Key,
    pub(super) set: &'a StatefulSet,
    pub(super) templates: Templates<'a>,
    pub(super) informer: &'a Informer<Pod>,
    pub(super) unseen: &'a Unseen,
    pub(super) claims: &'a Cache<PersistentVolumeClaim>,
}

/// What a step can end with.
enum End {
    Done,
    /// Something must go first; its event brings the set back.
    Wait,
}

impl Act<'_> {
    pub(super) async fn follow(&self, plan: &Plan) -> kube::Result<()> {
        let ordered = is_ordered(self.set);
        let at_once = if ordered { 1 } else { PODS_AT_ONCE };
        for steps in plan.phases.iter().flat_map(|phase| phase.chunks(at_once)) {
            // What was begun is ended before an error of another step counts.
            let ends = join_all(steps.iter().map(|step| self.step(step))).await;
            for end in ends {
                if let End::Wait = end?
                    && ordered
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn step(&self, step: &Step) -> kube::Result<End> {
        match step {
            Step::Create(ordinal) => self.create(*ordinal).await,
            Step::Delete(pod) => self.delete(pod).await,
            Step::Provide(pod) => {
                self.provide(pod).await?;
                self.own(pod).await
            }
            Step::Repair(pod) => self.repair(pod).await,
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cx.client.clone(), &self.key.namespace)
    }

    fn claims_api(&self) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.cx.client.clone(), &self.key.namespace)
    }

    fn claim(&self, name: Option<&String>) -> Option<Arc<PersistentVolumeClaim>> {
        self.claims.get(&Key::new(&self.key.namespace, name?))
    }

    async fn create(&self, ordinal: i32) -> kube::Result<End> {
        let (revision, template) = match is_current(self.set, ordinal) {
            true => self.templates.current,
            false => self.templates.update,
        };
        let wanted = pod(self.set, template, revision, ordinal);
        for (_, claim) in claims(self.set, &wanted) {
            let there = self.claim(claim.metadata.name.as_ref());
            if there.is_some_and(|there| is_stale(&wanted, &there)) {
                return Ok(End::Wait);
            }
        }
        self.provide(&wanted).await?;
        let created = self.pods().create(&PostParams::default(), &wanted).await;
        // A name that is taken is no news: whoever has it is seen soon.
        if !created.as_ref().is_err_and(is_conflict) {
            self.tell_pod("create", &wanted, created.as_ref().err());
        }
        let created = created?;
        self.unseen.created(self.key, self.informer, &created);
        self.own(&created).await
    }

    /// Deletes this pod and no other of its name.
    async fn delete(&self, pod: &Pod) -> kube::Result<End> {
        match delete_exactly(&self.pods(), pod).await {
            Ok(true) => {
                self.unseen.deleted(self.key, pod);
                self.tell_pod("delete", pod, None);
                Ok(End::Done)
            }
            Ok(false) => Ok(End::Done),
            Err(error) => {
                self.tell_pod("delete", pod, Some(&error));
                Err(error)
            }
        }
    }

    /// Makes the claims of a pod that are not there.
    async fn provide(&self, pod: &Pod) -> kube::Result<()> {
        for (_, claim) in claims(self.set, pod) {
            if let Some(there) = self.claim(claim.metadata.name.as_ref()) {
                if there.metadata.deletion_timestamp.is_some() {
                    return Err(going(&claim));
                }
                continue;
            }
            match self
                .claims_api()
                .create(&PostParams::default(), &claim)
                .await
            {
                Ok(_) => self.tell_claim(&claim, pod, None),
                // The cache is behind.
                Err(error) if already_exists(&error) => {}
                Err(error) => {
                    self.tell_claim(&claim, pod, Some(&error));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Gives the claims of a pod the owners that the set's policy wants.
    async fn own(&self, pod: &Pod) -> kube::Result<End> {
        for (_, claim) in claims(self.set, pod) {
            // One that was just made has its turn when it is seen.
            let Some(there) = self.claim(claim.metadata.name.as_ref()) else {
                continue;
            };
            let Some(references) = corrected(self.set, pod, &there) else {
                continue;
            };
            let mut changed = (*there).clone();
            changed.metadata.owner_references = Some(references);
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            self.claims_api()
                .replace(name, &PostParams::default(), &changed)
                .await?;
        }
        Ok(End::Done)
    }

    async fn repair(&self, pod: &Pod) -> kube::Result<End> {
        if !is_identified(self.set, pod) || !is_attached(self.set, pod) {
            let mut changed = pod.clone();
            identify(self.set, &mut changed);
            attach(self.set, &mut changed);
            self.provide(&changed).await?;
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let updated = self
                .pods()
                .replace(name, &PostParams::default(), &changed)
                .await;
            self.tell_pod("update", pod, updated.as_ref().err());
            self.unseen.created(self.key, self.informer, &updated?);
        }
        self.own(pod).await
    }

    fn tell_pod(&self, verb: &str, pod: &Pod, error: Option<&kube::Error>) {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let what = format!("{verb} Pod {name} in StatefulSet {}", set_name(self.set));
        self.tell(verb, error, format!("{what} successful"), &what);
    }

    fn tell_claim(&self, claim: &PersistentVolumeClaim, pod: &Pod, error: Option<&kube::Error>) {
        let claim = claim.metadata.name.as_deref().unwrap_or_default();
        let pod = pod.metadata.name.as_deref().unwrap_or_default();
        let set = set_name(self.set);
        let done = format!("create Claim {claim} Pod {pod} in StatefulSet {set} success");
        let failed = format!("create Claim {claim} for Pod {pod} in StatefulSet {set}");
        self.tell("create", error, done, &failed);
    }

    fn tell(&self, verb: &str, error: Option<&kube::Error>, done: String, failed: &str) {
        let verb = match verb {
            "create" => "Create",
            "delete" => "Delete",
            _ => "Update",
        };
        let events = &self.cx.events;
        match error {
            None => events.normal(self.set, &format!("Successful{verb}"), done),
            Some(error) => {
                let text = format!("{failed} failed error: {}", reason(error));
                events.warning(self.set, &format!("Failed{verb}"), text);
            }
        }
    }
}

/// A claim that is on its way out cannot be used again; its end brings another round.
fn going(claim: &PersistentVolumeClaim) -> kube::Error {
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let text = format!("pvc {name} is being deleted");
    kube::Error::Service(text.into())
}
