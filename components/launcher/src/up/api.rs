//! The cluster as its administrator sees it.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Client, Config};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::sleep;

use super::{rights, system};
use crate::balance::Probe;
use crate::cluster::{Cluster, Host, Means};
use crate::limits::{
    API_PORT, DNS_PATIENCE, NAMES_SHOWN_MAX, POLL_PAUSE, PROGRESS_PAUSE, READY_PATIENCE,
    SERVING_PATIENCE,
};
use crate::pki::Token;
use crate::screen::say;

/// A client with the administrator's kubeconfig.
pub(crate) async fn client(cluster: &Cluster) -> Result<Client> {
    let path = cluster.folders().kubeconfig();
    let config = Kubeconfig::read_from(&path).with_context(|| path.display().to_string())?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(config, &options).await?;
    Ok(Client::try_from(config)?)
}

/// Waits until an apiserver is ready, with the roles that every cluster has.
pub(super) async fn answers(cluster: &Cluster) -> Result<Client> {
    let client = client(cluster).await?;
    let mut patience = Patience::new("the apiserver", SERVING_PATIENCE);
    loop {
        let request = http_get("/readyz")?;
        match client.request_text(request).await {
            Ok(_) => return Ok(client),
            Err(error) => patience.wait(&error.to_string()).await?,
        }
    }
}

/// Waits until all apiservers have certificates for the address at which other machines reach them.
pub(super) async fn entered(cluster: &Cluster) -> Result<()> {
    let Some(advertised) = cluster.advertise else {
        return Ok(());
    };
    let probe = Probe::new(&cluster.folders().pki().join("ca.crt"))?;
    let mut patience = Patience::new("the way in for other machines", SERVING_PATIENCE);
    for master in cluster.masters() {
        let address = SocketAddr::from((master.address, API_PORT));
        while let Err(error) = probe.ready_as(address, advertised.into()).await {
            patience
                .wait(&format!("{}: {error:#}", master.name))
                .await?;
        }
    }
    say(format!(
        "other machines may join at {advertised}:{}",
        cluster.port
    ));
    Ok(())
}

fn http_get(path: &str) -> Result<Request<Vec<u8>>> {
    Request::get(path).body(Vec::new()).context("a request")
}

/// Waits until somebody leads in each kind of what is elected.
pub(super) async fn led(client: &Client) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), system::NAMESPACE);
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
            None => return Ok(()),
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

/// Creates what must be there before others start, and what runs as pods.
pub(super) async fn furnish(client: &Client, cluster: &Cluster, means: Means) -> Result<()> {
    for object in rights::rights() {
        create(client, object).await?;
    }
    if cluster.embedded.is_none() {
        let token = rights::token(&Token::of(cluster)?, OffsetDateTime::now_utc())?;
        replace(client, token).await?;
        for object in rights::joining() {
            create(client, object).await?;
        }
        for object in rights::told(cluster)? {
            replace(client, object).await?;
        }
    }
    if means.containers && means.dns && cluster.embedded.is_none() {
        for object in system::dns(cluster) {
            create(client, object).await?;
        }
    }
    Ok(())
}

/// An object, and where it belongs.
fn placed(client: &Client, object: Value) -> Result<(Api<DynamicObject>, DynamicObject)> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.clone().context("an object without a kind")?;
    let gvk = kube::core::GroupVersionKind::try_from(&types)?;
    let resource = ApiResource::from_gvk(&gvk);
    let api = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    Ok((api, object))
}

/// Creates an object, or lets the one that is there have what this one has.
async fn replace(client: &Client, object: Value) -> Result<()> {
    let (api, wanted) = placed(client, object.clone())?;
    let name = wanted.metadata.name.unwrap_or_default();
    let patched = api
        .patch(&name, &PatchParams::default(), &Patch::Merge(&object))
        .await;
    match patched {
        Err(kube::Error::Api(status)) if status.code == 404 => create(client, object).await,
        other => other
            .map(|_| ())
            .with_context(|| format!("changing {name}")),
    }
}

/// Creates an object, unless it is there.
async fn create(client: &Client, object: Value) -> Result<()> {
    let (api, object) = placed(client, object)?;
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

/// Takes away fake nodes of numbers that are no longer there.
pub(super) async fn forget_fakes(client: &Client, cluster: &Cluster) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let kept: Vec<String> = expected(cluster)
        .into_iter()
        .flat_map(|one| one.nodes)
        .collect();
    for node in nodes.list(&ListParams::default()).await? {
        let name = node.metadata.name.unwrap_or_default();
        if name.starts_with("fake-") && !kept.contains(&name) {
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

/// What is waited for: as a person knows it, and the names that its node may have.
struct Expected {
    name: String,
    nodes: Vec<String>,
}

fn expected(cluster: &Cluster) -> Vec<Expected> {
    let hosts = cluster.workers().map(|host| Expected {
        name: host.name.clone(),
        nodes: vec![host.name.clone(), fake(host)],
    });
    let embedded = cluster.embedded.as_ref();
    let fakes = (0..embedded.map_or(0, |embedded| embedded.nodes)).map(|number| {
        let name = format!("fake-{number}");
        let nodes = vec![name.clone()];
        Expected { name, nodes }
    });
    hosts.chain(fakes).collect()
}

/// Waits until every worker is a node that is ready.
pub(super) async fn ready(client: &Client, cluster: &Cluster) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let mut patience = Patience::new("the nodes", READY_PATIENCE);
    let mut waiting = expected(cluster);
    // Fake ones are many, and all of one kind.
    let told_each = cluster.embedded.is_none();
    let all = waiting.len();
    loop {
        let why = match nodes.list(&ListParams::default()).await {
            Ok(list) => {
                let ready: Vec<String> = list
                    .iter()
                    .filter(|node| is_ready(node))
                    .filter_map(|node| node.metadata.name.clone())
                    .collect();
                waiting.retain(|one| {
                    let is_ready = one.nodes.iter().any(|name| ready.contains(name));
                    if is_ready && told_each {
                        say(format!("{} is ready", one.name));
                    }
                    !is_ready
                });
                if waiting.is_empty() {
                    if !told_each && all > 0 {
                        say(format!("{all} fake nodes are ready"));
                    }
                    return Ok(());
                }
                let names = waiting.iter().map(|one| one.name.as_str());
                let some: Vec<&str> = names.take(NAMES_SHOWN_MAX).collect();
                format!("{} of {all} not ready: {}", waiting.len(), some.join(", "))
            }
            Err(error) => error.to_string(),
        };
        patience.wait(&why).await?;
    }
}

/// Waits until all pods of the cluster's DNS answer.
pub(super) async fn names(client: &Client) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), system::NAMESPACE);
    let mut patience = Patience::new("DNS", DNS_PATIENCE);
    loop {
        let why = match deployments.get(system::DEPLOYMENT).await {
            Ok(dns) => {
                let (ready, wanted) = replicas(&dns);
                if ready >= wanted {
                    say(format!("DNS serves: {ready} of {wanted} pods are ready"));
                    return Ok(());
                }
                format!(
                    "{ready} of {wanted} pods are ready ('kubectl get pods -n {}')",
                    system::NAMESPACE
                )
            }
            Err(error) => error.to_string(),
        };
        patience.wait(&why).await?;
    }
}

/// How many pods of a deployment are ready, and how many there are to be; none is ready while its controller has not
/// seen what is wanted.
fn replicas(deployment: &Deployment) -> (i32, i32) {
    let spec = deployment.spec.as_ref();
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let status = deployment.status.as_ref();
    let seen = status.and_then(|status| status.observed_generation);
    let ready = status
        .filter(|_| seen >= deployment.metadata.generation)
        .and_then(|status| status.ready_replicas);
    (ready.unwrap_or(0), wanted)
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

pub(crate) fn is_ready(node: &Node) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn replicas_count_once_their_controller_has_seen_them() {
        let mut deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "dns", "generation": 2},
            "spec": {"replicas": 2, "selector": {}, "template": {}},
            "status": {"observedGeneration": 1, "readyReplicas": 2},
        }))
        .expect("a deployment");
        assert_eq!(replicas(&deployment), (0, 2));
        deployment.metadata.generation = Some(1);
        assert_eq!(replicas(&deployment), (2, 2));
        deployment.status = None;
        assert_eq!(replicas(&deployment), (0, 2));
    }
}
