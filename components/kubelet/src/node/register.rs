//! Keeps the Node object as the node is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, Node, NodeRuntimeHandler, NodeRuntimeHandlerFeatures,
};
use kube::api::PostParams;
use kube::{Api, Client};
use mainstay_cri::{
    ListImagesRequest, NetworkConfig, Runtime, RuntimeConfig, StatusRequest,
    UpdateRuntimeConfigRequest, VersionRequest,
};
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::machine::Machine;
use super::object::{Health, Identity, labels, new_node, says_the_same, status};
use super::runtime_health::RuntimeHealth;
use crate::limits::{NODE_IMAGES_MAX, NODE_REPORT_INTERVAL, NODE_STATUS_INTERVAL, RELIST_PATIENCE};

/// What a node registers with.
#[derive(Clone)]
pub struct Registration {
    pub client: Client,
    pub runtime: Runtime,
    pub identity: Identity,
    pub machine: Machine,
    /// When all pods were last looked at.
    pub looked: Arc<Mutex<Option<Instant>>>,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Registers the node and reports how it is, until it is dropped.
pub async fn keep_registered(registration: Registration) {
    let mut ticks = interval(NODE_STATUS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported: Option<Instant> = None;
    let mut network = String::new();
    let mut runtime = RuntimeHealth::default();
    loop {
        ticks.tick().await;
        // Until it is registered, and while it is not ready, often: everything waits for it.
        let health = runtime.judge(ask(&registration.runtime).await, Instant::now());
        match report(&registration, health, &mut reported, &mut network).await {
            Ok(true) => {}
            Ok(false) => ticks.reset_after(Duration::from_secs(1)),
            Err(error) => {
                tracing::warn!("node: {error}");
                ticks.reset_after(Duration::from_secs(1));
            }
        }
    }
}

/// Whether the node is ready.
async fn report(
    registration: &Registration,
    mut health: Health,
    reported: &mut Option<Instant>,
    network: &mut String,
) -> Result<bool, kube::Error> {
    let Registration {
        client,
        identity,
        machine,
        ..
    } = registration;
    let api: Api<Node> = Api::all(client.clone());
    let looked = *registration.looked.lock();
    if looked.is_some_and(|at| at.elapsed() > RELIST_PATIENCE) {
        let trouble = "PLEG is not healthy: the runtime does not say what runs";
        health.troubles.push(trouble.to_owned());
    }
    let ready = health.troubles.is_empty();
    let now = Timestamp::now();
    let Some(mut node) = api.get_opt(&identity.name).await? else {
        let node = new_node(identity, machine, &health, now);
        let made = api.create(&PostParams::default(), &node).await?;
        tracing::info!(node = identity.name, "registered");
        // What a create does not take of the status.
        let status = node.status;
        let node = Node { status, ..made };
        api.replace_status(&identity.name, &PostParams::default(), &node)
            .await?;
        *reported = Some(Instant::now());
        return Ok(ready);
    };
    let mut wanted = node.metadata.labels.clone().unwrap_or_default();
    wanted.extend(labels(identity, machine));
    if reported.is_none() && node.metadata.labels.as_ref() != Some(&wanted) {
        node.metadata.labels = Some(wanted);
        node = api
            .replace(&identity.name, &PostParams::default(), &node)
            .await?;
    }
    tell_network(registration, &node, network).await;
    let old = node.status.clone().unwrap_or_default();
    let new = status(identity, machine, &health, &old, now);
    let recent = reported.is_some_and(|at| at.elapsed() < NODE_REPORT_INTERVAL);
    if recent && says_the_same(&old, &new) {
        return Ok(ready);
    }
    node.status = Some(new);
    api.replace_status(&identity.name, &PostParams::default(), &node)
        .await?;
    *reported = Some(Instant::now());
    Ok(ready)
}

/// The runtime learns the node's range of addresses; one that generates its CNI configuration needs it.
async fn tell_network(registration: &Registration, node: &Node, known: &mut String) {
    let range = node.spec.as_ref().and_then(|spec| spec.pod_cidr.clone());
    let Some(range) = range.filter(|range| range != known) else {
        return;
    };
    let request = UpdateRuntimeConfigRequest {
        runtime_config: Some(RuntimeConfig {
            network_config: Some(NetworkConfig {
                pod_cidr: range.clone(),
            }),
        }),
    };
    match registration.runtime.call(request).await {
        Ok(_) => *known = range,
        Err(error) => tracing::warn!("the runtime does not take the range of addresses: {error}"),
    }
}

/// Asks the runtime how it is; else why it did not answer.
async fn ask(runtime: &Runtime) -> Result<Health, String> {
    let version = runtime.call(VersionRequest::default()).await;
    let version = version.map_err(|error| format!("container runtime is down: {error}"))?;
    let answer = runtime.call(StatusRequest::default()).await;
    let answer =
        answer.map_err(|error| format!("container runtime status check failed: {error}"))?;
    let mut health = Health {
        runtime: format!("{}://{}", version.runtime_name, version.runtime_version),
        ..Health::default()
    };
    let conditions = answer
        .status
        .into_iter()
        .flat_map(|status| status.conditions);
    for condition in conditions.filter(|condition| !condition.status) {
        let what = match condition.r#type.as_str() {
            "NetworkReady" => "container runtime network not ready",
            "RuntimeReady" => "container runtime not ready",
            _ => continue,
        };
        health.troubles.push(format!(
            "{what}: {}=false reason:{} message:{}",
            condition.r#type, condition.reason, condition.message
        ));
    }
    let handlers = answer.runtime_handlers.into_iter();
    let handlers = handlers.map(|handler| NodeRuntimeHandler {
        name: Some(handler.name),
        features: handler.features.map(|features| NodeRuntimeHandlerFeatures {
            recursive_read_only_mounts: Some(features.recursive_read_only_mounts),
            user_namespaces: Some(features.user_namespaces),
        }),
    });
    health.handlers = handlers.collect();
    if let Ok(answer) = runtime.call(ListImagesRequest::default()).await {
        health.images = images(answer.images);
    }
    Ok(health)
}

/// The largest ones.
fn images(all: Vec<mainstay_cri::Image>) -> Vec<ContainerImage> {
    let mut all = all;
    all.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    all.truncate(NODE_IMAGES_MAX);
    all.into_iter()
        .map(|image| ContainerImage {
            names: Some(
                image
                    .repo_digests
                    .into_iter()
                    .chain(image.repo_tags)
                    .collect(),
            ),
            size_bytes: i64::try_from(image.size).ok(),
        })
        .collect()
}
