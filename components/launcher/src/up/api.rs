//! The cluster as its administrator sees it.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::system;
use crate::cluster::{Cluster, Host, Means};
use crate::limits::{POLL_PAUSE, PROGRESS_PAUSE, READY_PATIENCE, SERVING_PATIENCE};
use crate::screen::say;

/// A client with the administrator's kubeconfig.
async fn client(cluster: &Cluster) -> Result<Client> {
    let path = cluster.folders().kubeconfig();
    let config = Kubeconfig::read_from(&path).with_context(|| path.display().to_string())?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(config, &options).await?;
    Ok(Client::try_from(config)?)
}

/// Waits until an apiserver answers, and somebody leads.
pub(super) async fn serving(cluster: &Cluster) -> Result<Client> {
    let client = client(cluster).await?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-system");
    let mut patience = Patience::new("the control plane", SERVING_PATIENCE);
    loop {
        let mut missing = None;
        for name in ["kube-controller-manager", "kube-scheduler"] {
            match leases.get_opt(name).await {
                Ok(Some(lease)) if leads(&lease) => {}
                Ok(_) => missing = Some(format!("no {name} leads yet")),
                Err(error) => {
                    missing = Some(format!("no apiserver answers: {error}"));
                    break;
                }
            }
        }
        match missing {
            None => return Ok(client),
            Some(why) => patience.wait(&why).await?,
        }
    }
}

fn leads(lease: &Lease) -> bool {
    let Some(spec) = &lease.spec else {
        return false;
    };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    !holder.is_empty()
}

/// What upstream's installers create too: rights of what we run.
pub(super) async fn furnish(client: &Client, cluster: &Cluster, means: Means) -> Result<()> {
    let api = "rbac.authorization.k8s.io";
    let version = format!("{api}/v1");
    let binding = |name: &str, role: &str, subject: Value| {
        json!({
            "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": role}, "subjects": [subject],
        })
    };
    let objects = [
        json!({
            "apiVersion": version, "kind": "ClusterRole", "metadata": {"name": "mainstay:network"},
            "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}],
        }),
        binding(
            "mainstay:network",
            "mainstay:network",
            json!({"apiGroup": api, "kind": "Group", "name": "mainstay:network"}),
        ),
        // One program plays nodes under one name of its own.
        binding(
            "mainstay:fake-nodes",
            "system:node",
            json!({"apiGroup": api, "kind": "User", "name": "mainstay:fake-nodes"}),
        ),
    ];
    for object in objects {
        create(client, object).await?;
    }
    if means.containers && means.dns {
        for object in system::dns(cluster) {
            create(client, object).await?;
        }
    }
    Ok(())
}

/// Creates an object, unless it is there.
async fn create(client: &Client, object: Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.clone().context("an object without a kind")?;
    let gvk = kube::core::GroupVersionKind::try_from(&types)?;
    let resource = ApiResource::from_gvk(&gvk);
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    // Asked first: a service that is there already is refused for its address before it is for its name.
    let name = object.metadata.name.clone().unwrap_or_default();
    if api.get_opt(&name).await?.is_some() {
        return Ok(());
    }
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => {
            let name = object.metadata.name.unwrap_or_default();
            other
                .map(|_| ())
                .with_context(|| format!("creating {name}"))
        }
    }
}

/// Takes away the nodes of hosts that are no longer there.
pub(super) async fn forget(client: &Client, gone: &[Host]) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    for host in gone {
        for name in [host.name.clone(), fake(host)] {
            match nodes.delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => other.map(|_| ()).with_context(|| format!("node {name}"))?,
            }
        }
    }
    Ok(())
}

/// The name of the node that stands for a host without containers.
fn fake(host: &Host) -> String {
    format!("{}-fake-0", host.name)
}

/// Waits until every worker is a node that is ready.
pub(super) async fn ready(client: &Client, cluster: &Cluster) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let mut patience = Patience::new("the nodes", READY_PATIENCE);
    let mut told = Vec::new();
    loop {
        let why = match nodes.list(&ListParams::default()).await {
            Ok(list) => {
                let ready: Vec<String> = list
                    .iter()
                    .filter(|node| is_ready(node))
                    .filter_map(|node| node.metadata.name.clone())
                    .collect();
                let mut waiting = Vec::new();
                for host in cluster.workers() {
                    match ready.contains(&host.name) || ready.contains(&fake(host)) {
                        true if told.contains(&host.name) => {}
                        true => {
                            say(format!("{} is ready", host.name));
                            told.push(host.name.clone());
                        }
                        false => waiting.push(host.name.as_str()),
                    }
                }
                if waiting.is_empty() {
                    return Ok(());
                }
                format!("{} not ready", waiting.join(", "))
            }
            Err(error) => error.to_string(),
        };
        patience.wait(&why).await?;
    }
}

/// Names of nodes, and whether each is ready.
pub(crate) async fn nodes(cluster: &Cluster) -> Result<Vec<(String, bool)>> {
    let nodes: Api<Node> = Api::all(client(cluster).await?);
    let list = nodes.list(&ListParams::default()).await?;
    let each = list.iter().map(|node| {
        let name = node.metadata.name.clone().unwrap_or_default();
        (name, is_ready(node))
    });
    Ok(each.collect())
}

fn is_ready(node: &Node) -> bool {
    let status = node.status.as_ref();
    let mut conditions = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Waits in small steps, and says from time to time what for.
struct Patience {
    what: &'static str,
    limit: std::time::Duration,
    begun: Instant,
    told: Instant,
}

impl Patience {
    fn new(what: &'static str, limit: std::time::Duration) -> Self {
        let now = Instant::now();
        Self {
            what,
            limit,
            begun: now,
            told: now,
        }
    }

    async fn wait(&mut self, why: &str) -> Result<()> {
        let seconds = self.begun.elapsed().as_secs();
        if self.begun.elapsed() > self.limit {
            bail!(
                "{} did not get ready in {seconds} s: {why} ('mainstay status' and 'mainstay logs' say more; \
                 'mainstay up' goes on from here)",
                self.what
            );
        }
        if self.told.elapsed() > PROGRESS_PAUSE {
            say(format!("waiting for {} ({seconds} s): {why}", self.what));
            self.told = Instant::now();
        }
        sleep(POLL_PAUSE * 5).await;
        Ok(())
    }
}
