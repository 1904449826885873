//! What a pod as a whole asks for: `resourcehelper.PodRequests` and `PodLimits` upstream.
//!
//! While a running pod is resized, its node may have granted or apply more than the spec says; the largest
//! counts. Once the node has said that it can never fulfil the spec, the spec does not count.

use super::names::is_pod_level;
use crate::quantities::{Amounts, add, amounts, raise, rest};
use crate::resources::{of_containers, sum_containers};
use crate::value::{has, list, map, text};
use serde_json::Value;

static NOTHING: Value = Value::Null;

/// Requests with the overhead of the pod's runtime class.
pub(super) fn requests(pod: &Value) -> Amounts {
    let mut sum = container_requests(pod);
    if sets_pod_level(pod, "requests") {
        let mut effective = amounts(pod, "spec.resources.requests");
        if has(pod, "status.resources") || has(pod, "status.allocatedResources") {
            if is_infeasible(pod) {
                effective.clear();
            }
            raise(
                &mut effective,
                &without_overhead(pod, "status.resources.requests"),
            );
            raise(
                &mut effective,
                &without_overhead(pod, "status.allocatedResources"),
            );
        }
        replace_pod_level(&mut sum, effective);
    }
    add(&mut sum, &amounts(pod, "spec.overhead"));
    sum
}

/// Limits; the overhead adds to those that are set.
pub(super) fn limits(pod: &Value) -> Amounts {
    let mut sum = container_limits(pod);
    if is_pod_level_set(pod) {
        let mut effective = amounts(pod, "spec.resources.limits");
        if has(pod, "status.resources") {
            if is_infeasible(pod) {
                effective.clear();
            }
            raise(
                &mut effective,
                &without_overhead(pod, "status.resources.limits"),
            );
        }
        replace_pod_level(&mut sum, effective);
    }
    let mut overhead = amounts(pod, "spec.overhead");
    overhead.retain(|name, _| sum.get(name).is_some_and(|limit| !limit.is_zero()));
    add(&mut sum, &overhead);
    sum
}

/// Requests or limits by the spec alone and without overhead, as `LimitRanger` counts.
pub(super) fn of_spec(pod: &Value, which: &str) -> Amounts {
    let spec = pod.get("spec").unwrap_or(&NOTHING);
    let mut sum = of_containers(spec, which);
    for (name, amount) in amounts(spec, &format!("resources.{which}")) {
        if matches!(name.as_str(), "cpu" | "memory") {
            sum.insert(name, amount);
        }
    }
    sum
}

/// Whether the pod as a whole has requests or limits.
pub(super) fn is_pod_level_set(pod: &Value) -> bool {
    sets_pod_level(pod, "requests") || sets_pod_level(pod, "limits")
}

fn sets_pod_level(pod: &Value, which: &str) -> bool {
    map(pod, "spec.resources")
        .and_then(|resources| resources.get(which)?.as_object())
        .is_some_and(|list| list.keys().any(|name| is_pod_level(name)))
}

/// Whether the node has said that it can never give what the spec asks for.
fn is_infeasible(pod: &Value) -> bool {
    list(pod, "status.conditions")
        .iter()
        .find(|condition| text(condition, "type") == "PodResizePending")
        .is_some_and(|condition| text(condition, "reason") == "Infeasible")
}

/// Amounts of the status, which include the overhead, without it and never below zero.
fn without_overhead(pod: &Value, path: &str) -> Amounts {
    let mut found = amounts(pod, path);
    for (name, overhead) in amounts(pod, "spec.overhead") {
        if let Some(amount) = found.get_mut(&name) {
            *amount = rest(amount, &overhead);
        }
    }
    found
}

fn replace_pod_level(sum: &mut Amounts, effective: Amounts) {
    sum.extend(effective.into_iter().filter(|(name, _)| is_pod_level(name)));
}

fn container_requests(pod: &Value) -> Amounts {
    let spec = pod.get("spec").unwrap_or(&NOTHING);
    let mut most = wanted_by_containers(pod, "requests");
    if has(pod, "status.allocatedResources") && has(pod, "status.resources.requests") {
        raise(&mut most, &amounts(pod, "status.allocatedResources"));
        raise(&mut most, &amounts(pod, "status.resources.requests"));
        return most;
    }
    let allocated = ["allocatedResources"];
    let actuated = ["resources.requests", "allocatedResources"];
    raise(
        &mut most,
        &sum_containers(spec, |c| reported(pod, c, &allocated, "requests")),
    );
    raise(
        &mut most,
        &sum_containers(spec, |c| reported(pod, c, &actuated, "requests")),
    );
    most
}

fn container_limits(pod: &Value) -> Amounts {
    let spec = pod.get("spec").unwrap_or(&NOTHING);
    let mut most = wanted_by_containers(pod, "limits");
    if has(pod, "status.resources.limits") {
        raise(&mut most, &amounts(pod, "status.resources.limits"));
        return most;
    }
    let actuated = ["resources.limits"];
    raise(
        &mut most,
        &sum_containers(spec, |c| reported(pod, c, &actuated, "limits")),
    );
    most
}

fn wanted_by_containers(pod: &Value, which: &str) -> Amounts {
    if is_infeasible(pod) {
        return Amounts::new();
    }
    of_containers(pod.get("spec").unwrap_or(&NOTHING), which)
}

/// The first of the places that the container's status has, else what the spec says.
fn reported(pod: &Value, container: &Value, places: &[&str], which: &str) -> Amounts {
    let name = text(container, "name");
    let statuses = list(pod, "status.containerStatuses");
    let status = statuses
        .iter()
        .chain(list(pod, "status.initContainerStatuses"))
        .find(|status| text(status, "name") == name);
    if let Some(status) = status
        && let Some(place) = places.iter().find(|place| has(status, place))
    {
        return amounts(status, place);
    }
    if is_infeasible(pod) {
        return Amounts::new();
    }
    amounts(container, &format!("resources.{which}"))
}
