//! What one object uses.

use super::Usage;
use super::evaluator::{BY_DEVICE_CLASS, BY_STORAGE_CLASS, CLAIMS, Evaluator, STORAGE, count_name};
use crate::limits::names::{HUGE_PAGES, REQUESTS, is_extended};
use crate::limits::pod_totals::{limits, requests};
use crate::quantities::{Amounts, add, amounts, raise};
use crate::time::parse_millis;
use crate::value::{at, entry, int, list, number, text};
use mainstay_machinery::quantity::{Format, Quantity};
use mainstay_schema::Resource;
use serde_json::Value;

const MILLIS: i64 = 1000;
/// Devices one claim can be given at most, which counts for claims of all there are.
const DEVICES_MAX: i64 = 32;
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// What an object uses of any quota that is for it, by every name it is measured by. `now_millis`, since 1970,
/// decides whether a pod should be gone by now.
#[must_use]
pub fn usage(resource: &Resource, object: &Value, now_millis: i64) -> Usage {
    let mut used = match Evaluator::of(resource) {
        Evaluator::Pods if is_over(object, now_millis) => Usage::new(),
        Evaluator::Pods => of_compute(&requests(object), &limits(object)),
        Evaluator::Services => of_service(object),
        Evaluator::VolumeClaims => of_volume_claim(object),
        Evaluator::DeviceClaims => of_device_claim(object),
        Evaluator::Count(alias) => alias
            .map(|name| (name.to_owned(), whole(1)))
            .into_iter()
            .collect(),
    };
    used.insert(count_name(resource), whole(1));
    used
}

fn whole(number: i64) -> Quantity {
    Quantity::from_i64(number, Format::DecimalSi)
}

fn size(items: usize) -> Quantity {
    whole(i64::try_from(items).unwrap_or(i64::MAX))
}

/// Whether a pod needs nothing any more: it has ended, or its node has failed to delete it in time.
fn is_over(pod: &Value, now_millis: i64) -> bool {
    if matches!(text(pod, "status.phase"), "Failed" | "Succeeded") {
        return true;
    }
    let deleted = parse_millis(text(pod, "metadata.deletionTimestamp"));
    let grace = number(pod, "metadata.deletionGracePeriodSeconds");
    match (deleted, grace) {
        (Some(deleted), Some(grace)) => {
            now_millis > deleted.saturating_add(grace.saturating_mul(MILLIS))
        }
        _ => false,
    }
}

/// What one pod, or one container, with these requests and limits counts for.
pub(super) fn of_compute(requests: &Amounts, limits: &Amounts) -> Usage {
    let mut used = Usage::from([("pods".to_owned(), whole(1))]);
    for (name, amount) in requests {
        let plain = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage")
            || name.starts_with(HUGE_PAGES);
        if plain {
            used.insert(name.clone(), amount.clone());
        }
        if plain || is_extended(name) {
            used.insert(format!("{REQUESTS}{name}"), amount.clone());
        }
    }
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(amount) = limits.get(name) {
            used.insert(format!("limits.{name}"), amount.clone());
        }
    }
    used
}

fn of_service(service: &Value) -> Usage {
    let ports = list(service, "spec.ports");
    let chosen = ports.iter().filter(|port| int(port, "nodePort") != 0);
    let allocates =
        at(service, "spec.allocateLoadBalancerNodePorts").and_then(Value::as_bool) != Some(false);
    let (balancers, node_ports) = match text(service, "spec.type") {
        "NodePort" => (0, size(ports.len())),
        "LoadBalancer" if allocates => (1, size(ports.len())),
        "LoadBalancer" => (1, size(chosen.count())),
        _ => (0, whole(0)),
    };
    Usage::from([
        ("services".to_owned(), whole(1)),
        ("services.loadbalancers".to_owned(), whole(balancers)),
        ("services.nodeports".to_owned(), node_ports),
    ])
}

fn of_volume_claim(claim: &Value) -> Usage {
    let annotation = entry(claim, "metadata.annotations", CLASS_ANNOTATION);
    let class = match annotation.and_then(Value::as_str) {
        Some(class) => class,
        None => text(claim, "spec.storageClassName"),
    };
    let mut used = Usage::from([(CLAIMS.to_owned(), whole(1))]);
    if let Some(storage) = storage_of(claim) {
        used.insert(STORAGE.to_owned(), storage);
    }
    if !class.is_empty() {
        let of_class = |(name, amount): (&String, &Quantity)| {
            (format!("{class}{BY_STORAGE_CLASS}{name}"), amount.clone())
        };
        let of_class: Usage = used.iter().map(of_class).collect();
        used.extend(of_class);
    }
    used
}

/// Whole bytes asked for or, while the volume shrinks back after a failed growth, still allocated.
fn storage_of(claim: &Value) -> Option<Quantity> {
    let mut storage = amounts(claim, "spec.resources.requests").remove("storage")?;
    if let Some(allocated) = amounts(claim, "status.allocatedResources").remove("storage") {
        storage = storage.max(allocated);
    }
    storage.round_up(0);
    Some(storage)
}

fn of_device_claim(claim: &Value) -> Usage {
    let mut used = Usage::new();
    for request in list(claim, "spec.devices.requests") {
        let mut worst = Usage::new();
        let alternatives = list(request, "firstAvailable");
        for one in alternatives.iter().chain(exactly(request, alternatives)) {
            let devices = match text(one, "allocationMode") {
                "ExactCount" => int(one, "count"),
                "All" => DEVICES_MAX,
                _ => 0,
            };
            let name = format!("{}{BY_DEVICE_CLASS}", text(one, "deviceClassName"));
            raise(&mut worst, &Usage::from([(name, whole(devices))]));
        }
        add(&mut used, &worst);
    }
    used
}

/// The single form of a request, where there is no list of alternatives.
fn exactly<'a>(request: &'a Value, alternatives: &[Value]) -> Option<&'a Value> {
    at(request, "exactly").filter(|_| alternatives.is_empty())
}
