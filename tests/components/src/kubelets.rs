//! Kubelets without pods: nodes that stay alive as long as they are not silenced.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

/// How often a node gives a sign of life.
const BEAT: Duration = Duration::from_millis(200);
/// What a node waits for an answer at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// Nodes, until this is dropped; their objects stay.
pub struct Kubelets {
    client: Client,
    alive: Arc<Mutex<HashSet<String>>>,
    beating: JoinHandle<()>,
}

impl fmt::Debug for Kubelets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubelets")
            .field("alive", &self.alive)
            .finish_non_exhaustive()
    }
}

impl Drop for Kubelets {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

impl Kubelets {
    /// Must be called within a runtime.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        let alive: Arc<Mutex<HashSet<String>>> = Arc::default();
        let (beats, theirs) = (client.clone(), Arc::clone(&alive));
        let beating = tokio::spawn(async move {
            let mut beat = interval(BEAT);
            loop {
                beat.tick().await;
                let names: Vec<String> = theirs.lock().unwrap().iter().cloned().collect();
                let all = names.iter().map(|name| renew(&beats, name));
                let _ = timeout(PATIENCE, futures_util::future::join_all(all)).await;
            }
        });
        Self {
            client: client.clone(),
            alive,
            beating,
        }
    }

    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    /// A new node that is ready and alive.
    pub async fn register(&self, name: &str, labels: Value) -> Node {
        let node = json!({"metadata": {"name": name, "labels": labels}});
        let node = serde_json::from_value(node).unwrap();
        let params = PostParams::default();
        self.nodes().create(&params, &node).await.unwrap();
        let node = self.tells(name, "Ready", "True").await;
        let lease = json!({
            "metadata": {"name": name, "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now()},
        });
        let lease: Lease = serde_json::from_value(lease).unwrap();
        leases(&self.client).create(&params, &lease).await.unwrap();
        self.alive.lock().unwrap().insert(name.to_owned());
        node
    }

    /// Nothing is heard of a node from now on.
    pub fn silence(&self, name: &str) {
        self.alive.lock().unwrap().remove(name);
    }

    /// A silent node is there again.
    pub fn wake(&self, name: &str) {
        self.alive.lock().unwrap().insert(name.to_owned());
    }

    /// A node tells a condition.
    pub async fn tells(&self, name: &str, condition: &str, status: &str) -> Node {
        tells(&self.client, name, condition, status).await.unwrap()
    }

    pub async fn get(&self, name: &str) -> Node {
        self.nodes().get(name).await.unwrap()
    }
}

fn leases(client: &Client) -> Api<Lease> {
    Api::namespaced(client.clone(), "kube-node-lease")
}

fn now() -> String {
    format!("{:.6}", k8s_openapi::jiff::Timestamp::now())
}

async fn tells(client: &Client, name: &str, condition: &str, status: &str) -> kube::Result<Node> {
    let whole = k8s_openapi::jiff::Timestamp::now().round(k8s_openapi::jiff::Unit::Second);
    let whole = whole.unwrap().to_string();
    let patch = json!({"status": {"conditions": [{
        "type": condition, "status": status, "reason": "Told", "message": "by the kubelet",
        "lastHeartbeatTime": whole, "lastTransitionTime": whole,
    }]}});
    let api: Api<Node> = Api::all(client.clone());
    let params = PatchParams::default();
    api.patch_status(name, &params, &Patch::Strategic(patch))
        .await
}

/// As kubelets do: the lease each time, the status when it is not what the kubelet told last.
async fn renew(client: &Client, name: &str) -> kube::Result<()> {
    let patch = json!({"spec": {"renewTime": now()}});
    let params = PatchParams::default();
    leases(client)
        .patch(name, &params, &Patch::Merge(patch))
        .await?;
    let api: Api<Node> = Api::all(client.clone());
    let node = serde_json::to_value(api.get(name).await?).unwrap();
    let conditions = node["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    if conditions.any(|c| c["type"] == "Ready" && c["status"] == "Unknown") {
        tells(client, name, "Ready", "True").await?;
    }
    Ok(())
}
