//! Removing the finalizer by which pods are kept until they are counted.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use mainstay_client::{Key, controller_of};
use serde_json::json;

use super::controller::Controller;
use super::pod::{is_tracked, uid};
use super::spec::TRACKING;
use crate::discovery::is_absent;
use crate::limits::JOB_FINALIZERS_AT_ONCE;

fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// Uids of those pods that the server still has with the finalizer.
pub(super) async fn still_tracked<'a>(
    controller: &Controller,
    pods: Vec<&'a Pod>,
) -> kube::Result<Vec<&'a str>> {
    let mut waiting = pods.into_iter();
    let mut answers = FuturesUnordered::new();
    for pod in waiting.by_ref().take(JOB_FINALIZERS_AT_ONCE) {
        answers.push(controller.ask_one(pod));
    }
    let mut tracked = Vec::new();
    while let Some(answer) = answers.next().await {
        tracked.extend(answer?);
        if let Some(pod) = waiting.next() {
            answers.push(controller.ask_one(pod));
        }
    }
    Ok(tracked)
}

/// Lets pods go. Returns the uids of those that are free now, and the first error.
pub(super) async fn untrack<'a>(
    controller: &Controller,
    key: &Key,
    pods: &[&'a Pod],
) -> (HashSet<&'a str>, Option<kube::Error>) {
    let mut waiting = pods.iter().copied();
    let mut answers = FuturesUnordered::new();
    for pod in waiting.by_ref().take(JOB_FINALIZERS_AT_ONCE) {
        answers.push(controller.untrack_of(key, pod));
    }
    let mut gone = HashSet::new();
    let mut first = None;
    while let Some((pod, answer)) = answers.next().await {
        match answer {
            Ok(()) => {
                gone.insert(uid(pod));
            }
            Err(error) => first = first.or(Some(error)),
        }
        if let Some(pod) = waiting.next() {
            answers.push(controller.untrack_of(key, pod));
        }
    }
    (gone, first)
}

impl Controller {
    /// The uid of a pod if the server still has it with the finalizer.
    async fn ask_one<'a>(&self, pod: &'a Pod) -> kube::Result<Option<&'a str>> {
        let found = self.as_it_is(pod).await?;
        let tracked = found.is_some_and(|found| {
            let mut finalizers = found.metadata.finalizers.iter().flatten();
            let same = found.metadata.uid.as_deref() == Some(uid(pod));
            same && finalizers.any(|own| own == TRACKING)
        });
        Ok(tracked.then(|| uid(pod)))
    }

    /// What the server has under a pod's name. Upstream's role for this controller lets it list pods, but not get one.
    async fn as_it_is(&self, pod: &Pod) -> kube::Result<Option<PartialObjectMeta<Pod>>> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(self.cx.client.clone(), namespace);
        let named = ListParams::default().fields(&format!("metadata.name={}", name(pod)));
        let found = api.list_metadata(&named).await?;
        Ok(found.items.into_iter().next())
    }

    async fn untrack_of<'a>(&self, key: &Key, pod: &'a Pod) -> (&'a Pod, kube::Result<()>) {
        (pod, self.untrack_one(Some(key), pod).await)
    }

    async fn untrack_one(&self, key: Option<&Key>, pod: &Pod) -> kube::Result<()> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(self.cx.client.clone(), namespace);
        // Of this pod and no other of its name.
        let patch = Patch::Strategic(json!({"metadata": {
            "uid": pod.metadata.uid,
            "$deleteFromPrimitiveList/finalizers": [TRACKING],
        }}));
        match api.patch(name(pod), &PatchParams::default(), &patch).await {
            Ok(written) => {
                if let Some(key) = key {
                    self.written(key, &written);
                }
                Ok(())
            }
            Err(error) if is_absent(&error) => Ok(()),
            // Another pod has its name now.
            Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) => {
                match self.as_it_is(pod).await? {
                    Some(other) if other.metadata.uid == pod.metadata.uid => {
                        Err(kube::Error::Api(status))
                    }
                    _ => Ok(()),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// A pod that waits to be counted by a job that does not exist is let go.
    pub(super) async fn sync_orphan(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let Some(pod) = self.pods.cache().get(key).filter(|pod| is_tracked(pod)) else {
            return Ok(None);
        };
        if let Some(owner) = controller_of(pod.as_ref()).filter(|owner| owner.kind == "Job") {
            // As the server has it: the pod may have been seen before its job.
            let api: Api<Job> = Api::namespaced(self.cx.client.clone(), &key.namespace);
            let job = api.get_opt(&owner.name).await?;
            if job.is_some_and(|job| job.metadata.uid.as_deref() == Some(&owner.uid)) {
                return Ok(None);
            }
        }
        self.untrack_one(None, &pod).await?;
        Ok(None)
    }
}
