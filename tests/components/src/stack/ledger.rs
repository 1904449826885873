//! A client that writes all the time, and looks afterwards whether what was acknowledged is still there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use mainstay_tests::wait_until;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::cluster::Stack;
use super::figures::Figures;
use super::limits::{DONE, WRITE_PATIENCE, WRITE_PAUSE, WRITTEN_MAX, WRITTEN_MORE};
use crate::world::Scene;

/// Objects that somebody creates, one after the other, through the machine's balancer.
#[derive(Debug)]
pub struct Ledger {
    /// Begins the names of its objects.
    prefix: String,
    maps: Api<ConfigMap>,
    shared: Arc<Shared>,
    writing: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    done: AtomicBool,
    written: Mutex<Written>,
}

/// What was acknowledged so far.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// When each write was acknowledged, and how long it took with all its attempts.
    pub acknowledged: Vec<(Instant, Duration)>,
    /// How attempts failed, and how often.
    pub errors: BTreeMap<String, usize>,
}

impl Written {
    /// How long writes took.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.acknowledged.iter().map(|(_, took)| *took).collect()
    }

    /// The longest time between two acknowledgements of which the second was after `since`, and how long after `since` it
    /// began.
    #[must_use]
    pub fn gap(&self, since: Instant) -> (Duration, Duration) {
        let pairs = self.acknowledged.windows(2);
        let gaps = pairs.filter(|pair| pair[1].0 >= since);
        let gaps = gaps.map(|pair| {
            let begun = pair[0].0.saturating_duration_since(since);
            (pair[1].0 - pair[0].0, begun)
        });
        gaps.max().unwrap_or_default()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

impl Ledger {
    /// Begins, and returns when writes are acknowledged.
    pub async fn start(stack: &Stack, scene: &Scene, prefix: &str) -> Self {
        let client = stack.other_client().await;
        let shared: Arc<Shared> = Arc::default();
        let (theirs, namespace) = (Arc::clone(&shared), Arc::clone(&scene.namespace));
        let name = prefix.to_owned();
        let writing = tokio::spawn(async move {
            write(client, &namespace, &name, &theirs).await;
        });
        let ledger = Self {
            prefix: prefix.to_owned(),
            maps: scene.api(),
            shared,
            writing,
        };
        ledger.goes_on().await;
        ledger
    }

    #[must_use]
    pub fn written(&self) -> Written {
        self.shared.written.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.shared.written.lock().unwrap().acknowledged.len()
    }

    /// Waits until so many more writes are acknowledged that the API counts as being there.
    pub async fn goes_on(&self) {
        let wanted = self.count() + WRITTEN_MORE;
        wait_until("writes go on", DONE, async || {
            (self.count() >= wanted).then_some(())
        })
        .await;
    }

    /// Ends writing, and makes sure that all that was acknowledged is there with what was written. Returns what was.
    pub async fn end(mut self) -> Written {
        self.shared.done.store(true, Ordering::SeqCst);
        (&mut self.writing).await.unwrap();
        let written = self.written();
        let there = wait_until("the ledger can be read", DONE, async || {
            self.read().await.ok()
        })
        .await;
        let count = written.acknowledged.len();
        let missing: Vec<usize> = (0..count)
            .filter(|number| there.get(&name(&self.prefix, *number)) != Some(&number.to_string()))
            .collect();
        assert!(
            missing.is_empty(),
            "of {count} acknowledged writes {} are lost: {missing:?}",
            missing.len()
        );
        written
    }

    async fn read(&self) -> kube::Result<BTreeMap<String, String>> {
        let list = self.maps.list(&ListParams::default()).await?;
        let each = list.items.into_iter().filter_map(|map| {
            let number = map.data?.remove("number")?;
            Some((map.metadata.name?, number))
        });
        Ok(each.collect())
    }
}

fn name(prefix: &str, number: usize) -> String {
    format!("{prefix}-{number}")
}

async fn write(client: Client, namespace: &str, prefix: &str, shared: &Shared) {
    let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
    for number in 0..WRITTEN_MAX {
        let begun = Instant::now();
        let name = name(prefix, number);
        let map = json!({"metadata": {"name": name}, "data": {"number": number.to_string()}});
        let map: ConfigMap = serde_json::from_value(map).unwrap();
        let params = PostParams::default();
        loop {
            if shared.done.load(Ordering::SeqCst) {
                return;
            }
            let attempt = timeout(WRITE_PATIENCE, maps.create(&params, &map));
            let error = match attempt.await {
                Ok(Ok(_)) => break,
                // An earlier attempt was carried out, and its answer got lost.
                Ok(Err(kube::Error::Api(status))) if status.reason == "AlreadyExists" => break,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer in {WRITE_PATIENCE:?}"),
            };
            *shared
                .written
                .lock()
                .unwrap()
                .errors
                .entry(error)
                .or_default() += 1;
            sleep(WRITE_PAUSE).await;
        }
        let acknowledged = (Instant::now(), begun.elapsed());
        shared
            .written
            .lock()
            .unwrap()
            .acknowledged
            .push(acknowledged);
        sleep(WRITE_PAUSE.saturating_sub(begun.elapsed())).await;
    }
}
