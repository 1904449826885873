//! Writes that go on whatever happens to the server, and the list of those that succeeded.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinHandle;

use super::history::Version;
use super::support::object;

/// Names that are written in turn.
const NAMES: u64 = 20;
/// Between two writes.
const PACE: Duration = Duration::from_millis(3);
/// For a write while no server is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes until it is stopped.
pub(crate) struct Writer {
    written: Arc<Mutex<BTreeSet<Version>>>,
    task: JoinHandle<()>,
}

impl Writer {
    pub(crate) fn start(client: Client) -> Self {
        let written: Arc<Mutex<BTreeSet<Version>>> = Arc::default();
        let log = Arc::clone(&written);
        let task = tokio::spawn(async move {
            let api: Api<ConfigMap> = Api::default_namespaced(client);
            for step in 0_u64.. {
                // What a broken connection carried may or may not be written: nothing is said of it.
                if let Ok(Some(version)) = write(&api, step).await {
                    log.lock().unwrap().insert(version);
                }
                tokio::time::sleep(PACE).await;
            }
        });
        Self { written, task }
    }

    pub(crate) fn count(&self) -> usize {
        self.written.lock().unwrap().len()
    }

    /// Waits for this many more.
    pub(crate) async fn more(&self, writes: usize) {
        let target = self.count() + writes;
        mainstay_tests::wait_until("writes go on", PATIENCE, async || {
            (self.count() >= target).then_some(())
        })
        .await;
    }

    pub(crate) async fn stop(self) -> BTreeSet<Version> {
        self.task.abort();
        // It was aborted: that is its only end.
        let _ = self.task.await;
        std::mem::take(&mut *self.written.lock().unwrap())
    }
}

/// Creates, changes three times, deletes: one name after the other, each some steps behind the one before.
async fn write(api: &Api<ConfigMap>, step: u64) -> kube::Result<Option<Version>> {
    let name = format!("w{:02}", step * 7 % NAMES);
    match step / NAMES % 5 {
        0 => {
            let new = object(
                json!({ "metadata": { "name": name }, "data": { "step": step.to_string() } }),
            );
            let made = api.create(&PostParams::default(), &new).await?;
            Ok(Some(Version::from(&made)))
        }
        4 => {
            api.delete(&name, &DeleteParams::default()).await?;
            Ok(None)
        }
        _ => {
            let change = Patch::Merge(json!({ "data": { "step": step.to_string() } }));
            let changed = api.patch(&name, &PatchParams::default(), &change).await?;
            Ok(Some(Version::from(&changed)))
        }
    }
}
