//! Names and amounts of resources.

use super::place::Place;
use crate::value::list;
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::quantity::Quantity;
use mainstay_machinery::validate::{dns1123_label, qualified_name};
use serde_json::Value;
use std::collections::BTreeSet;

const HUGE_PAGES: &str = "hugepages-";
const NATIVE_DOMAIN: &str = "kubernetes.io/";
const REQUESTS_PREFIX: &str = "requests.";

/// Resources without a domain that Kubernetes knows.
const STANDARD: [&str; 22] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
    "count",
    "volumeattributesclasses",
];

/// Whose resources are meant: it decides which names are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Container,
    Pod,
}

pub(super) fn is_huge_page(name: &str) -> bool {
    name.starts_with(HUGE_PAGES)
}

fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name)
        || is_huge_page(name)
        || name.strip_prefix(REQUESTS_PREFIX).is_some_and(is_huge_page)
}

/// A resource of this domain, or of none, is Kubernetes' own.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains(NATIVE_DOMAIN)
}

/// Named by a domain of its own; can be used in quotas with a prefix.
pub(super) fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with(REQUESTS_PREFIX)
        && qualified_name(&format!("{REQUESTS_PREFIX}{name}")).is_empty()
}

/// More of it can be requested than there is.
pub(super) fn is_overcommitted(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// Amounts that are whole numbers: things are counted.
fn is_integer(name: &str) -> bool {
    const COUNTED: [&str; 9] = [
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    COUNTED.contains(&name) || is_extended(name) || name.starts_with("count/")
}

/// Any resource name: qualified, and standard if it has no domain. Says whether it was well-formed.
pub(super) fn name(name: &str, path: &Path, errors: &mut ErrorList) -> bool {
    let messages = qualified_name(name);
    let well_formed = messages.is_empty();
    for message in messages {
        errors.push(Error::invalid(path, name, message));
    }
    if well_formed && !name.contains('/') && !is_standard(name) {
        let detail = "must be a standard resource type or fully qualified";
        errors.push(Error::invalid(path, name, detail));
        return false;
    }
    well_formed
}

fn owned_name(resource: &str, owner: Owner, path: &Path, errors: &mut ErrorList) {
    if owner == Owner::Pod {
        let known = ["cpu", "hugepages-", "memory"];
        let fits = matches!(resource, "cpu" | "memory") || is_huge_page(resource);
        if name(resource, path, errors) && !fits {
            errors.push(Error::not_supported(path, resource, &known));
        }
        return;
    }
    name(resource, path, errors);
    let plain =
        matches!(resource, "cpu" | "memory" | "ephemeral-storage") || is_huge_page(resource);
    if !resource.contains('/') {
        if !plain {
            let detail = "must be a standard resource for containers";
            errors.push(Error::invalid(path, resource, detail));
        }
    } else if !is_native(resource) && !is_extended(resource) {
        let detail = "doesn't follow extended resource name standard";
        errors.push(Error::invalid(path, resource, detail));
    }
}

/// An amount: not negative, and whole where things are counted.
pub(super) fn amount(
    resource: &str,
    place: &Place<'_>,
    errors: &mut ErrorList,
) -> Option<Quantity> {
    let amount = place.quantity()?;
    nonnegative(&amount, place, errors);
    if is_integer(resource) && amount.milli_value() % 1000 != 0 {
        errors.push(Error::invalid(
            &place.path,
            amount.to_string(),
            "must be an integer",
        ));
    }
    Some(amount)
}

pub(super) fn nonnegative(amount: &Quantity, place: &Place<'_>, errors: &mut ErrorList) {
    if amount.signum() < 0 {
        let detail = "must be greater than or equal to 0";
        errors.push(Error::invalid(&place.path, amount.to_string(), detail));
    }
}

/// Requests and limits of a container or pod.
pub(super) fn requirements(resources: &Place<'_>, owner: Owner, errors: &mut ErrorList) {
    let (limits, requests) = (resources.at("limits"), resources.at("requests"));
    for (name, place) in limits.entries() {
        owned_name(name, owner, &place.path, errors);
        if let Some(limit) = amount(name, &place, errors) {
            huge_pages(name, &limit, &place, errors);
        }
    }
    for (name, place) in requests.entries() {
        owned_name(name, owner, &place.path, errors);
        let Some(request) = amount(name, &place, errors) else {
            continue;
        };
        within_limit(name, &request, &limits, &requests, errors);
        huge_pages(name, &request, &place, errors);
    }
    let names = || {
        limits
            .entries()
            .chain(requests.entries())
            .map(|(name, _)| name)
    };
    if names().any(is_huge_page) && !names().any(|name| matches!(name, "cpu" | "memory")) {
        resources.forbidden("HugePages require cpu or memory", errors);
    }
}

fn within_limit(
    name: &str,
    request: &Quantity,
    limits: &Place<'_>,
    requests: &Place<'_>,
    errors: &mut ErrorList,
) {
    let limit = limits
        .value
        .get(name)
        .and_then(|limit| Quantity::from_value(limit).ok());
    let overcommitted = is_overcommitted(name);
    let detail = match limit {
        Some(limit) if *request != limit && !overcommitted => {
            format!("must be equal to {name} limit of {limit}")
        }
        Some(limit) if *request > limit => {
            format!("must be less than or equal to {name} limit of {limit}")
        }
        None if !overcommitted => {
            limits.required("Limit must be set for non overcommitable resources", errors);
            return;
        }
        _ => return,
    };
    errors.push(Error::invalid(&requests.path, request.to_string(), detail));
}

/// Huge pages come in whole pages.
fn huge_pages(name: &str, amount: &Quantity, place: &Place<'_>, errors: &mut ErrorList) {
    let Some(size) = name
        .strip_prefix(HUGE_PAGES)
        .and_then(|size| Quantity::parse(size).ok())
    else {
        return;
    };
    if size.value() <= 0 || amount.value() % size.value() != 0 {
        let detail = format!("{amount} is not positive integer multiple of {name}");
        errors.push(Error::invalid(&place.path, amount.to_string(), detail));
    }
}

/// Claims a container uses must be claims of its pod.
pub(super) fn claim_names(claims: &Place<'_>, spec: &Value, errors: &mut ErrorList) {
    let known: BTreeSet<&str> = list(spec, "resourceClaims")
        .iter()
        .map(|claim| crate::value::text(claim, "name"))
        .collect();
    let mut seen = BTreeSet::new();
    for claim in claims.items() {
        let (name, request) = (claim.at("name").text(), claim.at("request"));
        if name.is_empty() {
            claim.required("", errors);
            continue;
        }
        request_name(&request, errors);
        let key = if request.is_empty() {
            name.to_owned()
        } else {
            format!("{name}/{}", request.text())
        };
        if !seen.insert(key.clone()) || (key != name && seen.contains(name)) {
            errors.push(Error::duplicate(&claim.path, key));
        }
        if !known.contains(name) {
            let mut error = Error::not_found(&claim.path, name);
            let names: Vec<&str> = known.iter().copied().collect();
            error.detail = format!(
                "must be one of the names in pod.spec.resourceClaims{}",
                if names.is_empty() {
                    " which is empty".into()
                } else {
                    format!(": {}", names.join(", "))
                }
            );
            errors.push(error);
        }
    }
}

fn request_name(request: &Place<'_>, errors: &mut ErrorList) {
    if !request.is_empty() {
        request.messages(dns1123_label(request.text()), errors);
    }
}
