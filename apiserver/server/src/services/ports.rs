//! Ports of services on nodes: one key in the store for each that is in use.

use bytes::Bytes;
use mainstay_apistore::{Created, Deleted};
use mainstay_machinery::status::StatusError;
use rand::Rng as _;

use super::addresses::Refused;
use crate::registry::{Registry, store_failure};

/// Random ports tried before the range is searched from its beginning.
const RANDOM_ATTEMPTS: usize = 16;

fn key(registry: &Registry, port: u16) -> Bytes {
    registry.keys.plain("mainstay/nodeports", &port.to_string())
}

/// Takes this port for a service.
pub(super) async fn claim(
    registry: &Registry,
    range: (u16, u16),
    port: u16,
    owner: &str,
) -> Result<(), Refused> {
    if port < range.0 || port > range.1 {
        return Err(Refused::OutOfRange);
    }
    let value = Bytes::copy_from_slice(owner.as_bytes());
    match registry.client.create(key(registry, port), value, 0).await {
        Ok(Created::Done(_)) => Ok(()),
        Ok(Created::Exists(_)) => Err(Refused::Taken),
        Err(e) => Err(Refused::Failed(store_failure(&e))),
    }
}

/// Whether `claim` would succeed.
pub(super) async fn is_free(
    registry: &Registry,
    range: (u16, u16),
    port: u16,
) -> Result<(), Refused> {
    if port < range.0 || port > range.1 {
        return Err(Refused::OutOfRange);
    }
    match registry.newest(&key(registry, port)).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(Refused::Taken),
        Err(e) => Err(Refused::Failed(e)),
    }
}

/// Takes any free port.
pub(super) async fn claim_any(
    registry: &Registry,
    range: (u16, u16),
    owner: &str,
) -> Result<u16, Refused> {
    for _ in 0..RANDOM_ATTEMPTS {
        let port = rand::rng().random_range(range.0..=range.1);
        match claim(registry, range, port, owner).await {
            Ok(()) => return Ok(port),
            Err(Refused::Taken) => {}
            Err(other) => return Err(other),
        }
    }
    let taken = used(registry).await.map_err(Refused::Failed)?;
    for port in range.0..=range.1 {
        if taken.iter().any(|(used, _)| *used == port) {
            continue;
        }
        match claim(registry, range, port, owner).await {
            Ok(()) => return Ok(port),
            Err(Refused::Taken) => {}
            Err(other) => return Err(other),
        }
    }
    Err(Refused::Full)
}

/// All ports in use, with the `NAMESPACE/NAME` of their services.
pub(super) async fn used(registry: &Registry) -> Result<Vec<(u16, String)>, StatusError> {
    let prefix = registry.keys.plain("mainstay/nodeports", "");
    let mut stored = Vec::new();
    let listed = registry
        .client
        .list(&prefix, 0, |page| stored.extend(page))
        .await;
    listed.map_err(|e| store_failure(&e))?;
    let port = |key: &[u8]| {
        let name = key.strip_prefix(&prefix[..])?;
        std::str::from_utf8(name).ok()?.parse().ok()
    };
    Ok(stored
        .into_iter()
        .filter_map(|stored| {
            let owner = String::from_utf8_lossy(&stored.value).into_owned();
            Some((port(&stored.key)?, owner))
        })
        .collect())
}

pub(super) async fn release(registry: &Registry, port: u16) -> Result<(), StatusError> {
    let key = key(registry, port);
    let Some(stored) = registry.newest(&key).await? else {
        return Ok(());
    };
    match registry.client.delete(key, stored.revision).await {
        Ok(Deleted::Done(_) | Deleted::Conflict(_)) => Ok(()),
        Err(e) => Err(store_failure(&e)),
    }
}
