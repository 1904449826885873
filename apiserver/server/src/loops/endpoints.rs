//! The endpoints of the service `kubernetes`: the addresses of all servers that are alive.
//!
//! Each server keeps a key with a lease, as upstream does under `masterleases`; the endpoints are those whose keys exist.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mainstay_kinds::Part;
use mainstay_machinery::status::StatusError;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::write::{Rules, change, ensure, resource};
use crate::registry::{Registry, store_failure};

/// Life of a server's key without renewal.
const LEASE: Duration = Duration::from_secs(15);
/// How often keys are renewed and endpoints compared: upstream's.
const EVERY: Duration = Duration::from_secs(10);
const SERVICE: &str = "kubernetes";
const NAMESPACE: &str = "default";

/// Publishes this server's address until the registry is gone; then takes it back.
pub(crate) async fn publish_endpoints(registry: Arc<Registry>, address: IpAddr, port: u16) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ending = registry.ending.clone();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = ending.changed() => break,
        }
        if let Err(e) = publish(&registry, address, port).await {
            tracing::warn!("the endpoints of the service kubernetes could not be updated: {e}");
        }
    }
    if let Err(e) = withdraw(&registry, address, port).await {
        tracing::warn!("this server's endpoint could not be withdrawn: {e}");
    }
}

async fn publish(registry: &Registry, address: IpAddr, port: u16) -> Result<(), StatusError> {
    let key = registry.keys.plain("masterleases", &address.to_string());
    let lease = registry.client.grant_lease(LEASE).await;
    let lease = lease.map_err(|e| store_failure(&e))?;
    let current = registry.newest(&key).await?;
    let value = bytes::Bytes::from_static(b"{}");
    let written = match current {
        None => registry.client.create(key, value, lease).await.map(drop),
        Some(stored) => {
            let updated = registry
                .client
                .update(key, stored.revision, value, lease)
                .await;
            updated.map(drop)
        }
    };
    written.map_err(|e| store_failure(&e))?;
    reconcile(registry, port).await
}

async fn withdraw(registry: &Registry, address: IpAddr, port: u16) -> Result<(), StatusError> {
    let key = registry.keys.plain("masterleases", &address.to_string());
    if let Some(stored) = registry.newest(&key).await? {
        let deleted = registry.client.delete(key, stored.revision).await;
        deleted.map_err(|e| store_failure(&e))?;
    }
    reconcile(registry, port).await
}

/// Writes the addresses of all keys, if they differ from what is there.
async fn reconcile(registry: &Registry, port: u16) -> Result<(), StatusError> {
    let prefix = registry.keys.plain("masterleases", "");
    let mut keys = Vec::new();
    let listed = registry
        .client
        .list(&prefix, 0, |page| keys.extend(page))
        .await;
    listed.map_err(|e| store_failure(&e))?;
    let mut addresses: Vec<String> = keys
        .iter()
        .filter_map(|stored| stored.key.strip_prefix(&prefix[..]))
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    addresses.sort_unstable();
    let ports = json!([{ "name": "https", "port": port, "protocol": "TCP" }]);
    let listed: Vec<Value> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
    let endpoints = json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": SERVICE,
            "namespace": NAMESPACE,
            "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
        },
        "subsets": [{ "addresses": listed, "ports": ports }],
    });
    apply(registry, "", "endpoints", endpoints, "subsets").await?;
    let each: Vec<Value> = addresses
        .iter()
        .map(|ip| json!({ "addresses": [ip], "conditions": { "ready": true } }))
        .collect();
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": SERVICE,
            "namespace": NAMESPACE,
            "labels": { "kubernetes.io/service-name": SERVICE },
        },
        "addressType": "IPv4",
        "endpoints": each,
        "ports": ports,
    });
    apply(
        registry,
        "discovery.k8s.io",
        "endpointslices",
        slice,
        "endpoints",
    )
    .await
}

async fn apply(
    registry: &Registry,
    group: &str,
    plural: &str,
    wanted: Value,
    field: &str,
) -> Result<(), StatusError> {
    let resource = resource(group, plural)?;
    let Some(existing) = registry.find(resource, NAMESPACE, SERVICE).await? else {
        return ensure(registry, resource, wanted).await;
    };
    if existing[field] == wanted[field] {
        return Ok(());
    }
    let set = |current: Option<&Value>| {
        let mut object = current.cloned().unwrap_or_else(|| wanted.clone());
        object[field] = wanted[field].clone();
        Ok(object)
    };
    let place = (NAMESPACE, SERVICE);
    change(registry, resource, place, Part::Main, Rules::Anew, &set).await
}
