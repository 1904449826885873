//! Resources of the pod as a whole, completed from those of its containers.

use crate::quantities::{Amounts, amounts, fill as fill_list};
use crate::resources::of_containers;
use crate::value::{ensure, entry, map};
use serde_json::Value;

const HUGE_PAGES: &str = "hugepages-";

/// Completes `resources` of a pod spec where it is partly given: limits of huge pages from the
/// containers' limits, requests from the containers' requests, then from the pod's own limits.
pub(super) fn fill(spec: &mut Value) {
    let given = |which: &str| map(spec, which).is_some_and(|list| !list.is_empty());
    let (limits, requests) = (given("resources.limits"), given("resources.requests"));
    if limits || requests {
        huge_page_limits(spec);
    }
    if map(spec, "resources.limits").is_some_and(|list| !list.is_empty()) {
        pod_requests(spec);
    }
}

fn huge_page_limits(spec: &mut Value) {
    let mut limits = of_containers(spec, "limits");
    limits.retain(|name, _| {
        name.starts_with(HUGE_PAGES) && entry(spec, "resources.requests", name).is_none()
    });
    add_missing(spec, "resources.limits", &limits);
}

fn pod_requests(spec: &mut Value) {
    let mut requests = of_containers(spec, "requests");
    // Huge pages cannot be overcommitted: their request is their limit.
    requests.retain(|name, _| matches!(name.as_str(), "cpu" | "memory"));
    add_missing(spec, "resources.requests", &requests);
    let mut limits = amounts(spec, "resources.limits");
    limits.retain(|name, _| {
        matches!(name.as_str(), "cpu" | "memory") || name.starts_with(HUGE_PAGES)
    });
    add_missing(spec, "resources.requests", &limits);
}

fn add_missing(spec: &mut Value, path: &str, missing: &Amounts) {
    if !missing.is_empty()
        && let Some(list) = ensure(spec, path)
    {
        fill_list(list, missing);
    }
}
