//! Cluster addresses: one IPAddress object for each that is in use.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use mainstay_apiplanted::{Mistake, makes};
use mainstay_auth::UserInfo;
use mainstay_machinery::meta;
use mainstay_machinery::status::{Reason, StatusError};
use mainstay_schema::Resource;
use rand::Rng as _;
use serde_json::{Value, json};

use crate::registry::{Create, Delete, DeleteOptions, Registry};

/// Random addresses tried before the range is searched from its beginning.
const RANDOM_ATTEMPTS: usize = 16;
/// Addresses at the start of a range that are only handed out when asked for, or when no others are left.
const STATIC_MIN: u32 = 16;
const STATIC_MAX: u32 = 256;

/// Why an address was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    Taken,
    OutOfRange,
    Full,
    Failed(StatusError),
}

fn resource() -> Result<&'static Resource, StatusError> {
    mainstay_schema::resource("networking.k8s.io", "v1", "ipaddresses")
        .ok_or_else(|| StatusError::internal("the table has no addresses"))
}

/// Takes this address for a service.
pub(super) async fn claim(
    registry: &Registry,
    range: Ipv4Net,
    address: Ipv4Addr,
    namespace: &str,
    name: &str,
) -> Result<(), Refused> {
    if !is_usable(range, address) {
        return Err(Refused::OutOfRange);
    }
    let object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {
            "name": address.to_string(),
            "labels": {
                "ipaddress.kubernetes.io/ip-family": "IPv4",
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": { "parentRef": {
            "group": "", "resource": "services", "namespace": namespace, "name": name,
        } },
    });
    let user = UserInfo::apiserver();
    let create = Create {
        resource: resource().map_err(Refused::Failed)?,
        namespace: "",
        user: &user,
        dry_run: false,
    };
    match Box::pin(registry.create(&create, object)).await {
        Ok(_) => Ok(()),
        Err(e) if e.reason == Reason::AlreadyExists && makes(Mistake::SharedAddress) => Ok(()),
        Err(e) if e.reason == Reason::AlreadyExists => Err(Refused::Taken),
        Err(e) => Err(Refused::Failed(e)),
    }
}

/// Whether `claim` would succeed.
pub(super) async fn is_free(
    registry: &Registry,
    range: Ipv4Net,
    address: Ipv4Addr,
) -> Result<(), Refused> {
    if !is_usable(range, address) {
        return Err(Refused::OutOfRange);
    }
    let resource = resource().map_err(Refused::Failed)?;
    let key = registry.keys.object(resource, "", &address.to_string());
    match registry.newest(&key).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(Refused::Taken),
        Err(e) => Err(Refused::Failed(e)),
    }
}

/// Takes any free address.
pub(super) async fn claim_any(
    registry: &Registry,
    range: Ipv4Net,
    namespace: &str,
    name: &str,
) -> Result<Ipv4Addr, Refused> {
    let size = size(range);
    let kept = kept(size);
    for _ in 0..RANDOM_ATTEMPTS {
        let offset = rand::rng().random_range(kept..size.max(kept + 1));
        let address = at(range, offset);
        match claim(registry, range, address, namespace, name).await {
            Ok(()) => return Ok(address),
            Err(Refused::Taken | Refused::OutOfRange) => {}
            Err(other) => return Err(other),
        }
    }
    // Nearly full: look which are free instead of guessing.
    let taken: std::collections::HashSet<String> = known(registry)
        .map_err(Refused::Failed)?
        .iter()
        .map(|object| meta::name(object).to_owned())
        .collect();
    for offset in (kept..size).chain(0..kept) {
        let address = at(range, offset);
        if !is_usable(range, address) || taken.contains(&address.to_string()) {
            continue;
        }
        match claim(registry, range, address, namespace, name).await {
            Ok(()) => return Ok(address),
            Err(Refused::Taken) => {}
            Err(other) => return Err(other),
        }
    }
    Err(Refused::Full)
}

/// All address objects, as the cache has them.
pub(super) fn known(registry: &Registry) -> Result<Vec<Value>, StatusError> {
    Ok(registry.known(resource()?, &mainstay_apistore::Scope::All))
}

/// All ServiceCIDR objects, as the cache has them.
pub(super) fn known_ranges(registry: &Registry) -> Result<Vec<Value>, StatusError> {
    let resource = mainstay_schema::resource("networking.k8s.io", "v1", "servicecidrs")
        .ok_or_else(|| StatusError::internal("the table has no ranges"))?;
    Ok(registry.known(resource, &mainstay_apistore::Scope::All))
}

/// The IPv4 ranges of a ServiceCIDR that addresses may be taken from. As upstream, one that nobody has looked at yet is
/// ready, and none that is on its way out.
pub(super) fn usable_ranges(object: &Value) -> Vec<Ipv4Net> {
    let conditions = object["status"]["conditions"].as_array();
    let mut ready = conditions
        .into_iter()
        .flatten()
        .filter(|condition| condition["type"] == "Ready");
    if meta::deletion_timestamp(object).is_some()
        || ready.any(|condition| condition["status"] != "True")
    {
        return Vec::new();
    }
    let ranges = object["spec"]["cidrs"].as_array().into_iter().flatten();
    ranges
        .filter_map(|range| range.as_str()?.parse::<Ipv4Net>().ok())
        .map(|range| range.trunc())
        .collect()
}

pub(super) async fn release(registry: &Registry, address: &str) -> Result<(), StatusError> {
    let user = UserInfo::apiserver();
    let options = DeleteOptions::default();
    let delete = Delete {
        resource: resource()?,
        namespace: "",
        name: address,
        user: &user,
        options: &options,
    };
    match registry.delete(&delete).await {
        Err(e) if e.reason != Reason::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn size(range: Ipv4Net) -> u32 {
    u32::try_from(1_u64 << (32 - range.prefix_len())).unwrap_or(u32::MAX)
}

/// How many addresses at the start are kept for those who ask for one: as upstream, a 16th, within bounds.
fn kept(size: u32) -> u32 {
    match size {
        0..=16 => 0,
        _ => (size / 16).clamp(STATIC_MIN, STATIC_MAX).min(size / 2),
    }
}

fn at(range: Ipv4Net, offset: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(range.network()).saturating_add(offset))
}

/// Neither the network's own address nor the one for all.
fn is_usable(range: Ipv4Net, address: Ipv4Addr) -> bool {
    range.contains(&address) && address != range.network() && address != range.broadcast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_range_is_kept_for_who_asks() {
        let cases = [
            ("10.0.0.0/16", 256),
            ("10.0.0.0/24", 16),
            ("10.0.0.0/28", 0),
        ];
        for (range, expected) in cases {
            let range: Ipv4Net = range.parse().unwrap();
            assert_eq!(kept(size(range)), expected, "{range}");
        }
    }

    #[test]
    fn ranges_are_used_while_they_are_ready() {
        let range = |condition: &str| {
            json!({
                "spec": {"cidrs": ["10.1.0.0/24", "fd00::/112"]},
                "status": {"conditions": [{"type": "Ready", "status": condition}]},
            })
        };
        assert_eq!(usable_ranges(&range("True")).len(), 1);
        assert!(usable_ranges(&range("False")).is_empty());
        let unseen = json!({"spec": {"cidrs": ["10.1.0.0/24"]}});
        assert_eq!(usable_ranges(&unseen).len(), 1);
        let ending = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"cidrs": ["10.1.0.0/24"]}});
        assert!(usable_ranges(&ending).is_empty());
    }

    #[test]
    fn network_and_broadcast_are_no_addresses() {
        let range: Ipv4Net = "10.0.0.0/30".parse().unwrap();
        let usable: Vec<bool> = (0..5).map(|n| is_usable(range, at(range, n))).collect();
        assert_eq!(usable, [false, true, true, false, false]);
    }
}
