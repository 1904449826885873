//! How long pods take from the request that creates them until they run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Client;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::report::Times;
use crate::interrupt;
use crate::latency::Latency;
use crate::limits::{POD_RUNS_TIMEOUT, POLL_MAX, STACK_LOAD_PAUSE, STACK_LOADERS};

/// The image that the launcher puts on every worker.
pub(super) const BUSYBOX: &str = "mainstay.io/busybox:local";
pub(super) const NAMESPACE: &str = "default";

/// What a watch told of one pod.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    bound: Option<Instant>,
    sandbox: Option<Instant>,
    running: Option<Instant>,
}

type AllSeen = Rc<RefCell<BTreeMap<String, Seen>>>;

/// Watches pods from its start on. Must live within a `LocalSet`.
pub(crate) struct Watcher {
    seen: AllSeen,
    task: JoinHandle<()>,
    pods: Api<Pod>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watcher {
    /// # Errors
    /// If pods cannot be listed.
    pub(crate) async fn start(client: &Client) -> Result<Self> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
        let list = pods.list(&ListParams::default().limit(1)).await?;
        let version = list
            .metadata
            .resource_version
            .context("a list has no version")?;
        let stream = pods.watch(&WatchParams::default(), &version).await?;
        let seen = AllSeen::default();
        let all = Rc::clone(&seen);
        let task = tokio::task::spawn_local(async move {
            let mut stream = std::pin::pin!(stream);
            // When it ends, whoever waits for a pod says so.
            while let Ok(Some(event)) = stream.try_next().await {
                if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event {
                    note(&mut all.borrow_mut(), &pod);
                }
            }
        });
        Ok(Self { seen, task, pods })
    }

    async fn create(&self, name: &str) -> Result<(String, Instant)> {
        let pod = json!({
            "metadata": {"name": name, "labels": {"bench": "pod"}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
                "name": "a", "image": BUSYBOX, "command": ["sleep", "1000000"],
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
            }]},
        });
        let pod: Pod = serde_json::from_value(pod)?;
        let begun = Instant::now();
        self.pods.create(&PostParams::default(), &pod).await?;
        Ok((name.to_owned(), begun))
    }

    async fn runs(&self, name: &str) -> Result<Seen> {
        let begun = Instant::now();
        loop {
            if let Some(seen) = self.seen.borrow().get(name)
                && seen.running.is_some()
            {
                return Ok(*seen);
            }
            if begun.elapsed() > POD_RUNS_TIMEOUT || interrupt::requested() {
                bail!("{name} does not run after {:?}", begun.elapsed());
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Pods one after the other, each on an otherwise idle cluster.
    ///
    /// # Errors
    /// If one does not come to run.
    pub(crate) async fn one_by_one(&self, count: u64) -> Result<Vec<Times>> {
        let mut latencies = Latencies::new();
        for number in 0..count {
            let (name, begun) = self.create(&format!("one-{number}")).await?;
            latencies.record(begun, self.runs(&name).await?);
            self.delete_all().await?;
        }
        Ok(latencies.times("one at a time"))
    }

    /// Pods all at once, while others read and write.
    ///
    /// # Errors
    /// If one does not come to run.
    pub(crate) async fn at_once(&self, client: &Client, count: u64) -> Result<Vec<Times>> {
        let loading: Vec<JoinHandle<()>> = (0..STACK_LOADERS)
            .map(|number| tokio::task::spawn_local(load(client.clone(), number)))
            .collect();
        let created = stream::iter((0..count).map(|number| format!("many-{number}")));
        let created = created.map(|name| async move { self.create(&name).await });
        let created: Vec<(String, Instant)> = created
            .buffer_unordered(usize::try_from(count)?)
            .try_collect()
            .await?;
        let mut latencies = Latencies::new();
        for (name, begun) in created {
            latencies.record(begun, self.runs(&name).await?);
        }
        for task in loading {
            task.abort();
        }
        self.delete_all().await?;
        Ok(latencies.times(&format!(
            "{count} at once, with {STACK_LOADERS} others at work"
        )))
    }

    async fn delete_all(&self) -> Result<()> {
        let ours = ListParams::default().labels("bench=pod");
        self.pods
            .delete_collection(&DeleteParams::default(), &ours)
            .await?;
        let gone = async {
            while !self.pods.list(&ours).await?.items.is_empty() {
                sleep(POLL_MAX).await;
            }
            anyhow::Ok(())
        };
        timeout(POD_RUNS_TIMEOUT, gone)
            .await
            .context("pods do not end")?
    }
}

/// One who reads and writes, in a loop.
async fn load(client: Client, number: usize) {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    let name = format!("load-{number}");
    let map = json!({"metadata": {"name": name}});
    if let Ok(map) = serde_json::from_value(map) {
        // It may be there from an earlier row.
        let _ = maps.create(&PostParams::default(), &map).await;
    }
    for round in 0_u64.. {
        let patch = Patch::Merge(json!({"data": {"round": round.to_string()}}));
        // What fails is load, too.
        let _ = maps.patch(&name, &PatchParams::default(), &patch).await;
        let _ = pods.list(&ListParams::default()).await;
        sleep(STACK_LOAD_PAUSE).await;
    }
}

fn note(all: &mut BTreeMap<String, Seen>, pod: &Pod) {
    let now = Instant::now();
    let seen = all
        .entry(pod.metadata.name.clone().unwrap_or_default())
        .or_default();
    let spec = pod.spec.as_ref();
    if spec.is_some_and(|spec| spec.node_name.is_some()) {
        seen.bound.get_or_insert(now);
    }
    let Some(status) = &pod.status else {
        return;
    };
    let mut conditions = status.conditions.iter().flatten();
    if conditions.any(|one| one.type_ == "PodReadyToStartContainers" && one.status == "True") {
        seen.sandbox.get_or_insert(now);
    }
    if status.phase.as_deref() == Some("Running") {
        seen.running.get_or_insert(now);
    }
}

/// From the request on.
struct Latencies {
    bound: Latency,
    sandbox: Latency,
    running: Latency,
}

impl Latencies {
    fn new() -> Self {
        let [bound, sandbox, running] = [(); 3].map(|()| Latency::new());
        Self {
            bound,
            sandbox,
            running,
        }
    }

    fn record(&mut self, begun: Instant, seen: Seen) {
        for (latency, at) in [
            (&mut self.bound, seen.bound),
            (&mut self.sandbox, seen.sandbox),
            (&mut self.running, seen.running),
        ] {
            if let Some(at) = at {
                let ns = at.saturating_duration_since(begun).as_nanos();
                latency.record(u64::try_from(ns).unwrap_or(u64::MAX));
            }
        }
    }

    fn times(&self, how: &str) -> Vec<Times> {
        let all = [
            ("bound", &self.bound),
            ("its sandbox told", &self.sandbox),
            ("Running", &self.running),
        ];
        let told = all.into_iter().filter(|(_, latency)| latency.count() > 0);
        told.map(|(what, latency)| Times::of(&format!("pod created → {what}, {how}"), latency))
            .collect()
    }
}
