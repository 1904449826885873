//! The loop of the endpoints controller.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{Informer, Key, Queue, Unseen, delete_exactly};

use super::services::{concerned, pods, selector};
use super::slices::is_headless;
use super::subsets::subsets;
use crate::context::Context;
use crate::limits::UNSEEN_PAUSE;

const HEADLESS: &str = "service.kubernetes.io/headless";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const OURSELVES: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

/// Keeps the endpoints of all services that select pods.
pub async fn endpoints(cx: Context) {
    let workers = cx.options.concurrent_endpoint_syncs;
    let controller = Arc::new(Controller {
        services: cx.informers.of(),
        pods: cx.informers.of(),
        endpoints: cx.informers.of(),
        queue: cx.queue("endpoint"),
        unseen: Unseen::default(),
        cx,
    });
    controller.run(workers).await;
}

struct Controller {
    cx: Context,
    services: Arc<Informer<Service>>,
    pods: Arc<Informer<Pod>>,
    endpoints: Arc<Informer<Endpoints>>,
    queue: Queue<Key>,
    unseen: Unseen,
}

impl Controller {
    async fn run(self: Arc<Self>, workers: usize) {
        self.services.names_into(&self.queue);
        let this = Arc::clone(&self);
        self.pods.on(move |change| {
            for key in concerned(this.services.cache(), &change) {
                this.queue.add(key);
            }
        });
        let this = Arc::clone(&self);
        self.endpoints.on(move |change| {
            let object = change.object();
            let labels = object.metadata.labels.as_ref();
            if labels.is_some_and(|labels| labels.contains_key(MANAGED_BY)) {
                this.queue.add(Key::of(object.as_ref()));
            }
        });
        self.endpoints.synced().await;
        self.pods.synced().await;
        self.services.synced().await;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, workers, work).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let look = || self.endpoints.cache().get(key).into_iter().collect();
        let (found, knows) = self.unseen.look(key, &self.endpoints, look);
        if !knows {
            return Ok(Some(UNSEEN_PAUSE));
        }
        let existing = found.into_iter().next();
        let Some(service) = self.services.cache().get(key) else {
            self.unseen.forget(key);
            if let Some(existing) = existing {
                self.delete(key, &existing).await?;
            }
            return Ok(None);
        };
        let Some(selector) = selector(&service) else {
            return Ok(None);
        };
        let pods = pods(self.pods.cache(), key, selector);
        let wanted = wanted(&service, existing.as_deref(), &pods);
        self.write(key, existing.as_deref(), wanted).await?;
        Ok(None)
    }

    async fn write(
        &self,
        key: &Key,
        existing: Option<&Endpoints>,
        wanted: Endpoints,
    ) -> kube::Result<()> {
        let api: Api<Endpoints> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        let params = PostParams::default();
        let written = match existing {
            None => api.create(&params, &wanted).await,
            Some(existing) if is_same(existing, &wanted) => return Ok(()),
            Some(_) => api.replace(&key.name, &params, &wanted).await,
        };
        match written {
            Ok(written) => {
                self.unseen.created(key, &self.endpoints, &written);
                Ok(())
            }
            // The namespace is going, and all of this with it.
            Err(error) if crate::pods::namespace_goes(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes those of a service that is gone; others may have none, and are theirs who made them.
    async fn delete(&self, key: &Key, existing: &Endpoints) -> kube::Result<()> {
        let labels = existing.metadata.labels.as_ref();
        if !labels.is_some_and(|labels| labels.contains_key(MANAGED_BY)) {
            return Ok(());
        }
        let api: Api<Endpoints> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        delete_exactly(&api, existing).await.map(drop)
    }
}

fn wanted(service: &Service, existing: Option<&Endpoints>, pods: &[Arc<Pod>]) -> Endpoints {
    let (subsets, truncated) = subsets(service, pods);
    let mut wanted = existing.cloned().unwrap_or_default();
    wanted.metadata.name.clone_from(&service.metadata.name);
    wanted
        .metadata
        .namespace
        .clone_from(&service.metadata.namespace);
    let mut labels: BTreeMap<_, _> = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.to_owned(), OURSELVES.to_owned());
    labels.remove(HEADLESS);
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    wanted.metadata.labels = Some(labels);
    let annotations = wanted.metadata.annotations.get_or_insert_default();
    if truncated {
        annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    } else {
        annotations.remove(OVER_CAPACITY);
    }
    if annotations.is_empty() {
        wanted.metadata.annotations = None;
    }
    wanted.subsets = (!subsets.is_empty()).then_some(subsets);
    wanted
}

fn is_same(existing: &Endpoints, wanted: &Endpoints) -> bool {
    let some = |map: &Option<BTreeMap<String, String>>| map.clone().unwrap_or_default();
    existing.subsets == wanted.subsets
        && some(&existing.metadata.labels) == some(&wanted.metadata.labels)
        && some(&existing.metadata.annotations) == some(&wanted.metadata.annotations)
}
