//! The node's heartbeat.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{MissedTickBehavior, interval};

use crate::limits::{LEASE_INTERVAL, LEASE_RETRY, LEASE_SECONDS};

/// Renews the lease of a node, until it is dropped.
pub async fn keep_lease(client: Client, node: String) {
    let mut ticks = interval(LEASE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<Lease> = None;
    loop {
        ticks.tick().await;
        match renew(&client, &node, last.take()).await {
            Ok(lease) => last = Some(lease),
            Err(error) => {
                tracing::warn!("lease: {error}");
                ticks.reset_after(LEASE_RETRY);
            }
        }
    }
}

async fn renew(client: &Client, node: &str, last: Option<Lease>) -> Result<Lease, kube::Error> {
    let api: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let known = match last {
        Some(lease) => Some(lease),
        None => api.get_opt(node).await?,
    };
    let spec = LeaseSpec {
        holder_identity: Some(node.to_owned()),
        lease_duration_seconds: Some(LEASE_SECONDS),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..LeaseSpec::default()
    };
    match known {
        Some(mut lease) => {
            lease.spec = Some(spec);
            if lease.metadata.owner_references.is_none() {
                lease.metadata.owner_references = owner(client, node).await?;
            }
            api.replace(node, &PostParams::default(), &lease).await
        }
        None => {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(node.to_owned()),
                    owner_references: owner(client, node).await?,
                    ..ObjectMeta::default()
                },
                spec: Some(spec),
            };
            api.create(&PostParams::default(), &lease).await
        }
    }
}

/// The node, once it is registered: the lease goes with it.
async fn owner(client: &Client, node: &str) -> Result<Option<Vec<OwnerReference>>, kube::Error> {
    let api: Api<Node> = Api::all(client.clone());
    let found = api.get_opt(node).await?;
    Ok(found.and_then(|found| found.metadata.uid).map(|uid| {
        vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: node.to_owned(),
            uid,
            ..OwnerReference::default()
        }]
    }))
}
