//! The loop of the endpoint slice controller.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{Change, Informer, Key, Queue, Unseen, delete_exactly};

use super::desired::{Family, belongs, endpoint};
use super::ports::of_pod;
use super::services::{concerned, pods, selector};
use super::slices::{MANAGED_BY, OURSELVES, Plan, SERVICE_NAME, Wanted, plan};
use crate::context::Context;
use crate::limits::UNSEEN_PAUSE;

const BY_SERVICE: &str = "service";

/// Keeps the slices of all services that select pods.
pub async fn endpoint_slices(cx: Context) {
    let workers = cx.options.concurrent_service_endpoint_syncs;
    let services = cx.informers.of::<Service>();
    let slices = cx.informers.of::<EndpointSlice>();
    slices.index_by(BY_SERVICE, |slice| {
        owner(slice)
            .into_iter()
            .map(|key| key.to_string())
            .collect()
    });
    let controller = Arc::new(Controller {
        pods: cx.informers.of(),
        nodes: cx.informers.of(),
        queue: cx.queue("endpoint_slice"),
        unseen: Unseen::default(),
        services,
        slices,
        cx,
    });
    controller.run(workers).await;
}

/// The service of a slice that is ours.
fn owner(slice: &EndpointSlice) -> Option<Key> {
    let labels = slice.metadata.labels.as_ref()?;
    let ours = labels.get(MANAGED_BY).map(String::as_str) == Some(OURSELVES);
    let name = labels.get(SERVICE_NAME).filter(|_| ours)?;
    Some(Key::new(slice.metadata.namespace.as_deref()?, name))
}

struct Controller {
    cx: Context,
    services: Arc<Informer<Service>>,
    pods: Arc<Informer<Pod>>,
    nodes: Arc<Informer<Node>>,
    slices: Arc<Informer<EndpointSlice>>,
    queue: Queue<Key>,
    unseen: Unseen,
}

impl Controller {
    async fn run(self: Arc<Self>, workers: usize) {
        let this = Arc::clone(&self);
        self.services
            .on(move |change| this.queue.add(this.unseen.owner(&change)));
        let this = Arc::clone(&self);
        self.pods.on(move |change| {
            for key in concerned(this.services.cache(), &change) {
                this.queue.add(key);
            }
        });
        self.slices.on_for(&self, Self::slice_changed);
        self.nodes.synced().await;
        self.slices.synced().await;
        self.pods.synced().await;
        self.services.synced().await;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, workers, work).await;
    }

    /// Somebody may have changed one of ours.
    fn slice_changed(&self, change: &Change<'_, EndpointSlice>) {
        if let Some(key) = owner(change.object()) {
            self.queue.add(key);
        }
        if let Change::Updated { old, new } = change
            && let Some(key) = owner(old).filter(|key| Some(key) != owner(new).as_ref())
        {
            self.queue.add(key);
        }
    }

    async fn sync(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let look = || self.slices.cache().indexed(BY_SERVICE, &key.to_string());
        let (existing, knows) = self.unseen.look(key, &self.slices, look);
        if !knows {
            return Ok(Some(UNSEEN_PAUSE));
        }
        let mut existing: Vec<_> = existing
            .iter()
            .map(|slice| slice.as_ref().clone())
            .collect();
        existing.retain(|slice| slice.metadata.deletion_timestamp.is_none());
        let Some(service) = self.services.cache().get(key) else {
            // Garbage collection would do it too, later.
            self.carry_out(key, delete_all(existing)).await?;
            return Ok(None);
        };
        if service.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let plan = match selector(&service) {
            Some(selector) => {
                let pods = pods(self.pods.cache(), key, selector);
                plan(&service, &existing, self.wanted(&service, &pods))
            }
            // What it had before its selector was taken away, or before its type was ExternalName.
            None if service.spec.as_ref().and_then(|s| s.type_.as_deref())
                == Some("ExternalName") =>
            {
                delete_all(existing)
            }
            None => Plan::default(),
        };
        self.carry_out(key, plan).await?;
        Ok(None)
    }

    fn wanted(&self, service: &Service, pods: &[Arc<Pod>]) -> Wanted {
        let mut wanted = Wanted::new();
        for family in Family::of(service) {
            for pod in pods.iter().filter(|pod| belongs(pod, true)) {
                let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
                let node = node.and_then(|name| self.nodes.cache().get(&Key::new("", name)));
                let Some(endpoint) = endpoint(service, pod, family, node.as_deref()) else {
                    continue;
                };
                let ports = of_pod(service, pod);
                wanted.entry((family, ports)).or_default().push(endpoint);
            }
            if wanted.keys().all(|(of, _)| *of != family) {
                wanted.insert((family, vec![]), vec![]);
            }
        }
        wanted
    }

    async fn carry_out(&self, key: &Key, plan: Plan) -> kube::Result<()> {
        let api: Api<EndpointSlice> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        let params = PostParams::default();
        for slice in plan.create {
            let created = api.create(&params, &slice).await?;
            self.unseen.created(key, &self.slices, &created);
        }
        for slice in plan.update {
            let name = slice.metadata.name.clone().unwrap_or_default();
            let updated = api.replace(&name, &params, &slice).await?;
            self.unseen.created(key, &self.slices, &updated);
        }
        for slice in plan.delete {
            if delete_exactly(&api, &slice).await? {
                self.unseen.deleted(key, &slice);
            }
        }
        Ok(())
    }
}

fn delete_all(slices: Vec<EndpointSlice>) -> Plan {
    Plan {
        delete: slices,
        ..Plan::default()
    }
}
