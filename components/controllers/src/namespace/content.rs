//! Deleting everything in a namespace.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::{Api, Client};

use super::conditions::Found;
use crate::discovery::{Served, is_absent};
use crate::limits::{FINALIZER_SECONDS, NAMESPACE_LIST_PAGE};
use crate::pods::{phase, reason};

/// One round over one namespace.
pub(super) struct Sweep<'a> {
    pub(super) client: &'a Client,
    pub(super) namespace: &'a str,
    /// Seconds since its deletion began.
    pub(super) since: i64,
    pub(super) found: Found,
    /// Seconds after which it is worth to look again.
    pub(super) estimate: i64,
}

fn is_pods(served: &Served) -> bool {
    served.resource.group.is_empty() && served.resource.plural == "pods"
}

impl Sweep<'_> {
    /// Deletes what there is. Nothing but pods is touched before they are all gone: what they need must outlive
    /// them.
    pub(super) async fn run(&mut self, all: &[Served]) {
        let deletable = |served: &&Served| served.namespaced && served.can("delete");
        let (pods, others): (Vec<_>, Vec<_>) =
            all.iter().filter(deletable).partition(|s| is_pods(s));
        for served in &pods {
            self.empty(served).await;
        }
        if !self.found.errors.is_empty() || !self.found.remaining.is_empty() {
            return;
        }
        for served in others {
            self.empty(served).await;
        }
    }

    async fn empty(&mut self, served: &Served) {
        if let Err(error) = self.try_empty(served).await {
            self.found.errors.push(reason(&error));
        }
    }

    async fn try_empty(&mut self, served: &Served) -> kube::Result<()> {
        let grace = match is_pods(served) {
            true => self.grace_of_pods().await?,
            false => 0,
        };
        if !served.can("list") {
            return self.delete_all(served, Vec::new()).await;
        }
        // Most kinds have nothing in most namespaces: to look costs less than to delete.
        let found = self.left(&served.resource).await?;
        if found.is_empty() {
            return Ok(());
        }
        self.delete_all(served, found).await?;
        let left = self.left(&served.resource).await?;
        if left.is_empty() {
            return Ok(());
        }
        let name = format!("{}.{}", served.resource.plural, served.resource.group);
        self.found.remaining.insert(name, left.len());
        let mut finalized = false;
        for meta in &left {
            for finalizer in meta.finalizers.iter().flatten() {
                finalized = true;
                *self.found.finalizers.entry(finalizer.clone()).or_default() += 1;
            }
        }
        let estimate = match (grace, finalized) {
            (0, true) => FINALIZER_SECONDS,
            (grace, _) => grace,
        };
        self.estimate = self.estimate.max(estimate);
        if estimate == 0 {
            let ApiResource {
                group,
                version,
                plural,
                ..
            } = &served.resource;
            self.found.errors.push(format!(
                "unexpected items still remain in namespace: {} for gvr: {group}/{version}, Resource={plural}",
                self.namespace
            ));
        }
        Ok(())
    }

    async fn delete_all(&self, served: &Served, found: Vec<ObjectMeta>) -> kube::Result<()> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), self.namespace, &served.resource);
        // Not orphans, whatever a kind's own rule is: all of them go.
        let how = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        if served.can("deletecollection") {
            let deleted = api.delete_collection(&how, &ListParams::default()).await;
            return deleted.map(drop);
        }
        for meta in found {
            let name = meta.name.unwrap_or_default();
            match api.delete(&name, &how).await {
                Err(error) if !is_absent(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    async fn left(&self, resource: &ApiResource) -> kube::Result<Vec<ObjectMeta>> {
        let api: Api<PartialObjectMeta<DynamicObject>> =
            Api::namespaced_with(self.client.clone(), self.namespace, resource);
        let mut all = Vec::new();
        let mut params = ListParams::default().limit(NAMESPACE_LIST_PAGE);
        loop {
            let page = api.list(&params).await?;
            all.extend(page.items.into_iter().map(|object| object.metadata));
            match page.metadata.continue_ {
                Some(next) if !next.is_empty() => params = params.continue_token(&next),
                _ => return Ok(all),
            }
        }
    }

    /// The longest time that pods may still take; 0 once it has passed.
    async fn grace_of_pods(&self) -> kube::Result<i64> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        let mut longest = 0;
        let mut params = ListParams::default().limit(NAMESPACE_LIST_PAGE);
        loop {
            let page = api.list(&params).await?;
            for pod in &page.items {
                let spec = pod.spec.as_ref();
                let grace = spec.and_then(|spec| spec.termination_grace_period_seconds);
                if !matches!(phase(pod), "Succeeded" | "Failed") {
                    longest = longest.max(grace.unwrap_or(0));
                }
            }
            match page.metadata.continue_ {
                Some(next) if !next.is_empty() => params = params.continue_token(&next),
                _ => break,
            }
        }
        Ok(if self.since >= longest { 0 } else { longest })
    }
}
