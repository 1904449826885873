//! Where pods were put, by the history of the cluster: what schedulers must never do, whatever happens to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use mainstay_tests::wait_until;
use tokio::task::JoinHandle;

use crate::world::World;

/// Follows all pods from its making on and looks for violations: a pod on two nodes (S2), and a node whose pods ask for
/// more CPUs than it has (S3).
#[derive(Debug)]
pub struct Ledger {
    api: Api<Pod>,
    seen: Arc<Mutex<Seen>>,
    following: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    revision: u64,
    /// By uid: its node and the CPUs that it asks for.
    placed: HashMap<String, (String, i64)>,
    used: HashMap<String, i64>,
    bindings: usize,
    wrong: Vec<String>,
}

impl Ledger {
    /// Each node has `cpus` CPUs; pods ask for whole ones.
    pub async fn follow(world: &World, cpus: i64) -> Self {
        let api: Api<Pod> = Api::all(world.client.clone());
        let list = api.list(&ListParams::default()).await.unwrap();
        let from = list.metadata.resource_version.unwrap();
        let watch = api.watch(&WatchParams::default(), &from).await.unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let into = Arc::clone(&seen);
        let following = tokio::spawn(async move {
            let mut watch = watch.boxed();
            while let Some(event) = watch.next().await {
                let mut seen = into.lock().unwrap();
                match event {
                    Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => {
                        seen.note(&pod, false, cpus);
                    }
                    Ok(WatchEvent::Deleted(pod)) => seen.note(&pod, true, cpus),
                    Ok(WatchEvent::Bookmark(_)) => {}
                    other => seen.wrong.push(format!("the watch: {other:?}")),
                }
            }
            let mut seen = into.lock().unwrap();
            seen.wrong.push("the watch has ended".to_owned());
        });
        Self {
            api,
            seen,
            following,
        }
    }

    /// Waits until all that has happened was seen, and panics if something was wrong. Returns how many pods were bound.
    pub async fn check(self) -> usize {
        let list = self.api.list(&ListParams::default()).await.unwrap();
        let newest = list.items.iter().map(revision).max().unwrap_or(0);
        wait_until("all was seen", Duration::from_secs(20), async || {
            let seen = self.seen.lock().unwrap();
            (seen.revision >= newest || !seen.wrong.is_empty()).then_some(())
        })
        .await;
        self.following.abort();
        let seen = self.seen.lock().unwrap();
        assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
        seen.bindings
    }
}

impl Seen {
    fn note(&mut self, pod: &Pod, gone: bool, cpus: i64) {
        self.revision = self.revision.max(revision(pod));
        let uid = pod.metadata.uid.clone().unwrap();
        let spec = pod.spec.as_ref().unwrap();
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        if gone || matches!(phase, Some("Succeeded" | "Failed")) {
            if let Some((node, asks)) = self.placed.remove(&uid) {
                *self.used.entry(node).or_default() -= asks;
            }
            return;
        }
        let name = pod.metadata.name.clone().unwrap();
        match (self.placed.get(&uid), spec.node_name.as_ref()) {
            (Some((before, _)), now) if now != Some(before) => {
                let text = format!("{name} was on {before} and is on {now:?}");
                self.wrong.push(text);
            }
            (None, Some(node)) => {
                let asks = asks(pod);
                let used = self.used.entry(node.clone()).or_default();
                *used += asks;
                if *used > cpus {
                    let text = format!("{name} makes {used} CPUs used on {node}");
                    self.wrong.push(text);
                }
                self.bindings += 1;
                self.placed.insert(uid, (node.clone(), asks));
            }
            _ => {}
        }
    }
}

fn revision(pod: &Pod) -> u64 {
    let text = pod.metadata.resource_version.as_ref().unwrap();
    text.parse().unwrap()
}

fn asks(pod: &Pod) -> i64 {
    let spec = pod.spec.as_ref().unwrap();
    let requests = spec.containers.iter().filter_map(|container| {
        let resources = container.resources.as_ref()?;
        let cpu = resources.requests.as_ref()?.get("cpu")?;
        cpu.0.parse::<i64>().ok()
    });
    requests.sum()
}
