//! The loops: registering, staying alive, and playing pods.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use mainstay_client::metrics::Metrics;
use mainstay_client::{Informer, Informers, Key, Queue, Queues};
use serde_json::json;
use tokio::time::{Instant, interval};

use crate::annotations::SILENT;
use crate::life::{Step, next};
use crate::limits::{LEASE_EVERY, NODE_REQUESTS, NODES_MAX, POD_WORKERS, STATUS_EVERY};
use crate::node::Node;
use crate::options::Options;
use crate::status;

/// Of nodes that are not ready.
const NOT_READY: &str = "node.kubernetes.io/not-ready";

struct Nodes {
    client: Client,
    options: Options,
    nodes: Vec<Node>,
    by_name: HashMap<String, usize>,
    objects: Arc<Informer<NodeObject>>,
    pods: Arc<Informer<Pod>>,
    queue: Queue<Key>,
    addresses: AtomicU32,
    since: Timestamp,
}

/// Registers the nodes and plays them until this is dropped. The objects stay afterwards, as those of dead nodes do.
///
/// # Errors
/// More nodes than [`NODES_MAX`].
pub async fn run(client: Client, options: Options, metrics: &Metrics) -> Result<(), String> {
    run_until(client, options, metrics, std::future::pending()).await
}

/// Like [`run`], until `stop` is there; then waits for what is being written.
///
/// # Errors
/// As [`run`].
pub async fn run_until(
    client: Client,
    options: Options,
    metrics: &Metrics,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    if options.nodes > NODES_MAX {
        return Err(format!("at most {NODES_MAX} nodes, not {}", options.nodes));
    }
    let informers = Informers::new(client.clone());
    let nodes: Vec<_> = (0..options.nodes).map(|n| Node::new(n, &options)).collect();
    let names = nodes.iter().enumerate();
    let this = Arc::new(Nodes {
        by_name: names.map(|(n, node)| (node.name.clone(), n)).collect(),
        objects: informers.of(),
        pods: informers.of(),
        queue: Queue::new(metrics.queue("fakepods")),
        // 10.0.0.0/8, from a place that differs by start: addresses of pods of an earlier run are rarely met again.
        addresses: AtomicU32::new(
            u32::try_from(Timestamp::now().as_second() % (1 << 24)).unwrap_or(0),
        ),
        since: Timestamp::now(),
        client,
        options,
        nodes,
    });
    let queues = Queues::default();
    queues.add(&this.queue);
    let end = async {
        stop.await;
        queues.close().await;
    };
    tokio::select! {
        () = this.live() => {}
        () = end => {}
    }
    Ok(())
}

impl Nodes {
    async fn live(self: &Arc<Self>) {
        self.objects.synced().await;
        let heard = Arc::clone(self);
        self.pods.on(move |change| {
            if heard.node_of(change.object()).is_some() {
                heard.queue.add(Key::of(change.object().as_ref()));
            }
        });
        let player = Arc::clone(self);
        let play = move |key| {
            let this = Arc::clone(&player);
            async move { this.play(&key).await }
        };
        tokio::join!(self.stay(), self.queue.work(POD_WORKERS, play));
    }

    fn node_of(&self, pod: &Pod) -> Option<&Node> {
        let name = pod.spec.as_ref()?.node_name.as_ref()?;
        self.nodes.get(*self.by_name.get(name)?)
    }

    fn is_silent(&self, node: &Node) -> bool {
        let object = self.objects.cache().get(&Key::new("", &node.name));
        let annotations = object
            .as_ref()
            .and_then(|o| o.metadata.annotations.as_ref());
        annotations.and_then(|a| a.get(SILENT)).map(String::as_str) == Some("true")
    }

    fn is_known_to_be_ready(&self, node: &Node) -> bool {
        let object = self.objects.cache().get(&Key::new("", &node.name));
        let status = object.as_ref().and_then(|object| object.status.as_ref());
        let conditions = status.and_then(|status| status.conditions.as_deref());
        let mut conditions = conditions.unwrap_or_default().iter();
        conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
    }

    /// Renews one node after another, so that all have had their turn within [`LEASE_EVERY`].
    async fn stay(&self) {
        let mut told: HashMap<usize, Instant> = HashMap::new();
        let mut round = interval(LEASE_EVERY);
        loop {
            round.tick().await;
            let mut under_way = FuturesUnordered::new();
            for (number, node) in self.nodes.iter().enumerate() {
                if self.is_silent(node) {
                    continue;
                }
                if under_way.len() >= NODE_REQUESTS {
                    under_way.next().await;
                }
                // As kubelets do: at once, if others say something else.
                let due = told
                    .get(&number)
                    .is_none_or(|at| at.elapsed() >= STATUS_EVERY)
                    || !self.is_known_to_be_ready(node);
                if due {
                    told.insert(number, Instant::now());
                }
                under_way.push(self.renew(node, due));
            }
            while under_way.next().await.is_some() {}
        }
    }

    async fn renew(&self, node: &Node, status_too: bool) {
        if let Err(error) = self.try_renew(node, status_too).await {
            tracing::warn!(node = node.name, "not renewed: {error}");
        }
    }

    async fn try_renew(&self, node: &Node, status_too: bool) -> kube::Result<()> {
        let api: Api<NodeObject> = Api::all(self.client.clone());
        let known = self.objects.cache().get(&Key::new("", &node.name));
        let object = match &known {
            Some(object) => Arc::clone(object),
            None => Arc::new(self.register(&api, node).await?),
        };
        if self.options.untaint {
            untaint(&api, &object).await?;
        }
        let now = Timestamp::now();
        if status_too || known.is_none() {
            let status = Patch::Merge(node.status(&self.options, self.since, now));
            api.patch_status(&node.name, &PatchParams::default(), &status)
                .await?;
        }
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), "kube-node-lease");
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        let lease = node.lease(uid, now);
        let patch = Patch::Merge(&lease);
        match leases
            .patch(&node.name, &PatchParams::default(), &patch)
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                let lease = serde_json::from_value(lease).map_err(kube::Error::SerdeError)?;
                leases
                    .create(&PostParams::default(), &lease)
                    .await
                    .map(drop)
            }
            answer => answer.map(drop),
        }
    }

    async fn register(&self, api: &Api<NodeObject>, node: &Node) -> kube::Result<NodeObject> {
        let object =
            serde_json::from_value(node.object(&self.options)).map_err(kube::Error::SerdeError)?;
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => api.get(&node.name).await,
            answer => answer,
        }
    }

    /// Does what is due for one pod, and says when more is.
    async fn play(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let Some(pod) = self.pods.cache().get(key) else {
            return Ok(None);
        };
        let Some(node) = self.node_of(&pod) else {
            return Ok(None);
        };
        if self.is_silent(node) {
            return Ok(Some(LEASE_EVERY));
        }
        let now = Timestamp::now();
        match next(&pod, &self.options, now) {
            None => Ok(None),
            Some((_, wait)) if !wait.is_zero() => Ok(Some(wait)),
            Some((step, _)) => self.take(key, node, &pod, step, now).await,
        }
    }

    async fn take(
        &self,
        key: &Key,
        node: &Node,
        pod: &Pod,
        step: Step,
        now: Timestamp,
    ) -> kube::Result<Option<Duration>> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let uid = pod.metadata.uid.clone();
        let answer = if step == Step::Remove {
            let mut how = DeleteParams::default().grace_period(0);
            how.preconditions = Some(Preconditions {
                uid,
                resource_version: None,
            });
            api.delete(&key.name, &how).await.map(drop)
        } else {
            let address = self.address_of(pod);
            let status = status::after(pod, step, &node.address.to_string(), &address, now);
            let patch = json!({"metadata": {"uid": uid}, "status": status});
            let patch = Patch::Strategic(patch);
            let params = PatchParams::default();
            api.patch_status(&key.name, &params, &patch).await.map(drop)
        };
        match answer {
            // Gone, or another one by now: an event tells of it.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => Ok(None),
            answer => answer.map(|()| None),
        }
    }

    fn address_of(&self, pod: &Pod) -> String {
        let has = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        has.unwrap_or_else(|| {
            let number = self.addresses.fetch_add(1, Ordering::Relaxed) % (1 << 24);
            Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number).to_string()
        })
    }
}

/// Takes the taint away that a new node has until somebody finds it ready, and leaves all others.
async fn untaint(api: &Api<NodeObject>, node: &NodeObject) -> kube::Result<()> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let taints = taints.map(Vec::as_slice).unwrap_or_default();
    let others = taints.iter().filter(|taint| taint.key != NOT_READY);
    let others: Vec<_> = others.collect();
    if others.len() == taints.len() {
        return Ok(());
    }
    // From what it was decided: somebody else may be changing them.
    let patch = json!({
        "metadata": {"resourceVersion": node.metadata.resource_version},
        "spec": {"taints": others},
    });
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let params = PatchParams::default();
    match api.patch(name, &params, &Patch::Merge(&patch)).await {
        // The next round sees what it is now.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        answer => answer.map(drop),
    }
}
