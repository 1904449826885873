//! Namespaces, nodes, quotas and limit ranges.

use super::place::Place;
use super::{resources, scheduling};
use crate::strategy::Part;
use crate::value::{list, same, text};
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::quantity::Quantity;
use mainstay_machinery::validate::{
    FIELD_IMMUTABLE, cidr_legacy, label_name, label_value, parse_cidr_sloppy, qualified_name,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const QUOTA_SCOPES: &[&str] = &[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];
/// What a quota counts, of the resources without a domain; huge pages are counted too.
const QUOTA_RESOURCES: &[&str] = &[
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];
const QUOTA_POD_RESOURCES: &[&str] = &[
    "cpu",
    "limits.cpu",
    "limits.memory",
    "memory",
    "requests.cpu",
    "requests.memory",
];
const POD_CIDR: &str = "node updates may not change podCIDR except from \"\" to valid";

pub(super) fn namespace(object: &Value, errors: &mut ErrorList) {
    namespace_finalizers(object, |path, _| path, errors);
}

/// Upstream says which one is wrong only when they are changed.
fn namespace_finalizers(object: &Value, at: fn(Path, usize) -> Path, errors: &mut ErrorList) {
    let finalizers = list(object, "spec.finalizers").iter();
    for (index, finalizer) in finalizers.filter_map(Value::as_str).enumerate() {
        let path = at(Path::new("spec").child("finalizers"), index);
        for message in qualified_name(finalizer) {
            errors.push(Error::invalid(&path, finalizer, message));
        }
        let standard = ["kubernetes", "orphan", "foregroundDeletion"];
        if !finalizer.contains('/') && !standard.contains(&finalizer) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(Error::invalid(&path, finalizer, detail));
        }
    }
}

pub(super) fn update_namespace(new: &Value, _: &Value, part: Part, errors: &mut ErrorList) {
    match part {
        Part::Finalize => namespace_finalizers(new, |path, index| path.index(index), errors),
        Part::Status => {
            let phase = Place::top(new, "status").at("phase");
            let deleted = !text(new, "metadata.deletionTimestamp").is_empty();
            if deleted && phase.text() != "Terminating" {
                phase.invalid(
                    "may only be 'Terminating' if `deletionTimestamp` is not empty",
                    errors,
                );
            } else if !deleted && phase.text() != "Active" {
                phase.invalid(
                    "may only be 'Active' if `deletionTimestamp` is empty",
                    errors,
                );
            }
        }
        _ => {}
    }
}

fn taints(taints: &Place<'_>, errors: &mut ErrorList) {
    // Upstream reports taints of nodes under metadata.
    let path = Path::new("metadata").child("taints");
    let mut seen = BTreeSet::new();
    for (index, taint) in taints.items().enumerate() {
        let taint = Place {
            value: taint.value,
            path: path.index(index),
        };
        let (key, value, effect) = (taint.at("key"), taint.at("value"), taint.at("effect"));
        label_name(&key.path, key.text(), errors);
        let messages = label_value(value.text());
        if !messages.is_empty() {
            value.invalid(messages.join(";"), errors);
        }
        effect.one_of(scheduling::TAINT_EFFECTS, errors);
        if !seen.insert((key.text(), effect.text())) {
            let mut error = Error::duplicate(&taint.path, taint.value.clone());
            "taints must be unique by key and effect pair".clone_into(&mut error.detail);
            errors.push(error);
        }
    }
}

fn node_resources(object: &Value, errors: &mut ErrorList) {
    let status = Place::top(object, "status");
    for list in ["capacity", "allocatable"] {
        let list = status.at(list);
        for (name, amount) in list.entries() {
            let path = list.path.child(name.to_owned());
            resources::amount(
                name,
                &Place {
                    value: amount.value,
                    path,
                },
                errors,
            );
        }
    }
}

pub(super) fn node(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    taints(&spec.at("taints"), errors);
    node_resources(object, errors);
    let cidrs = spec.at("podCIDRs");
    for cidr in cidrs.items() {
        errors.extend(cidr_legacy(&cidr.path, cidr.text()));
    }
    let families: Vec<bool> = cidrs
        .items()
        .filter_map(|c| Some(parse_cidr_sloppy(c.text())?.0.is_ipv4()))
        .collect();
    if cidrs.len() > 2 || (families.len() == 2 && families[0] == families[1]) {
        cidrs.invalid(
            "may specify no more than one CIDR for each IP family",
            errors,
        );
    }
}

pub(super) fn update_node(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    node_resources(new, errors);
    let addresses = Place::top(new, "status").at("addresses");
    let all: Vec<Place<'_>> = addresses.items().collect();
    for (index, address) in all.iter().enumerate() {
        if all[..index].iter().any(|before| before.equals(address)) {
            address.duplicate(errors);
        }
    }
    let (spec, before) = (Place::top(new, "spec"), Place::top(old, "spec"));
    let (cidrs, old_cidrs) = (spec.at("podCIDRs"), before.at("podCIDRs"));
    if !old_cidrs.is_empty() && !cidrs.equals(&old_cidrs) {
        cidrs.forbidden(POD_CIDR, errors);
    }
    let provider = spec.at("providerID");
    if !before.at("providerID").is_empty() && !provider.equals(&before.at("providerID")) {
        let detail = "node updates may not change providerID except from \"\" to valid";
        provider.forbidden(detail, errors);
    }
    taints(&spec.at("taints"), errors);
    if !spec.at("externalID").equals(&before.at("externalID")) {
        spec.at("externalID")
            .forbidden("may not be updated", errors);
    }
}

/// Whether a quota may count this resource, of those without a domain.
fn is_quota_resource(name: &str) -> bool {
    QUOTA_RESOURCES.contains(&name)
        || name.starts_with("hugepages-")
        || name.starts_with("requests.hugepages-")
}

/// Whether anything of a scope can have this resource: most scopes choose among pods.
fn scope_fits(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => {
            matches!(resource, "persistentvolumeclaims" | "requests.storage")
        }
        _ => resource == "pods" || QUOTA_POD_RESOURCES.contains(&resource),
    }
}

/// Names and amounts of a quota's list.
fn quota_list(list: &Place<'_>, errors: &mut ErrorList) {
    for (name, amount) in list.entries() {
        resources::name(name, &amount.path, errors);
        if !name.contains('/') && !is_quota_resource(name) {
            let detail = "must be a standard resource for quota";
            errors.push(Error::invalid(&amount.path, name, detail));
        }
        resources::amount(name, &amount, errors);
    }
}

pub(super) fn quota(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    quota_list(&spec.at("hard"), errors);
    let scopes = spec.at("scopes");
    let mut seen = BTreeSet::new();
    let limited: Vec<&str> = spec.at("hard").entries().map(|(name, _)| name).collect();
    let unfit = |scope: &str| {
        let limited = limited.iter().filter(|name| is_quota_resource(name));
        let known = QUOTA_SCOPES.contains(&scope);
        limited
            .filter(|name| known && !scope_fits(scope, name))
            .count()
    };
    for scope in scopes.items() {
        if !QUOTA_SCOPES.contains(&scope.text()) {
            scopes.invalid("unsupported scope", errors);
        }
        for _ in 0..unfit(scope.text()) {
            scopes.invalid("unsupported scope applied to resource", errors);
        }
        seen.insert(scope.text());
    }
    for (one, other) in [
        ("BestEffort", "NotBestEffort"),
        ("Terminating", "NotTerminating"),
    ] {
        if seen.contains(one) && seen.contains(other) {
            scopes.invalid("conflicting scopes", errors);
        }
    }
    for expression in spec.at("scopeSelector.matchExpressions").items() {
        let (operator, values) = (expression.at("operator"), expression.at("values"));
        if !QUOTA_SCOPES.contains(&expression.at("scopeName").text()) {
            expression
                .at("scopeName")
                .invalid("unsupported scope", errors);
        }
        for _ in 0..unfit(expression.at("scopeName").text()) {
            let selector = spec.at("scopeSelector");
            let path = selector.path.child("matchExpressions");
            let detail = "unsupported scope applied to resource";
            errors.push(Error::invalid(&path, selector.value.clone(), detail));
        }
        match operator.text() {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                values.required(detail, errors);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                values.invalid(detail, errors);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => operator.invalid("not a valid selector operator", errors),
        }
    }
}

pub(super) fn update_quota(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part == Part::Status {
        let status = Place::top(new, "status");
        quota_list(&status.at("hard"), errors);
        quota_list(&status.at("used"), errors);
        return;
    }
    quota(new, errors);
    let scopes = |quota| -> BTreeSet<String> {
        list(quota, "spec.scopes")
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    if scopes(new) != scopes(old) {
        Place::top(new, "spec")
            .at("scopes")
            .invalid(FIELD_IMMUTABLE, errors);
    }
}

pub(super) fn limit_range(object: &Value, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for item in Place::top(object, "spec").at("limits").items() {
        let kind = item.at("type");
        let standard = ["Pod", "Container", "PersistentVolumeClaim"];
        let messages = qualified_name(kind.text());
        if messages.is_empty() && !kind.text().contains('/') && !standard.contains(&kind.text()) {
            kind.invalid("must be a standard limit type or fully qualified", errors);
        }
        kind.messages(messages, errors);
        if !seen.insert(kind.text()) {
            kind.duplicate(errors);
        }
        limit_item(&item, errors);
    }
}

fn limit_item(item: &Place<'_>, errors: &mut ErrorList) {
    let kind = item.at("type").text();
    let mut amounts: BTreeMap<&str, BTreeMap<&str, Quantity>> = BTreeMap::new();
    for list in [
        "max",
        "min",
        "default",
        "defaultRequest",
        "maxLimitRequestRatio",
    ] {
        let place = item.at(list);
        if kind == "Pod" && list.starts_with("default") {
            if !place.is_empty() {
                place.forbidden("may not be specified when `type` is 'Pod'", errors);
            }
            continue;
        }
        for (name, amount) in place.entries() {
            resources::name(name, &amount.path, errors);
            if let Some(quantity) = amount.quantity() {
                amounts.entry(name).or_default().insert(list, quantity);
            }
        }
    }
    let storage = ["min", "max"]
        .iter()
        .any(|l| item.at(l).value.get("storage").is_some());
    if kind == "PersistentVolumeClaim" && !storage {
        let detail =
            "either minimum or maximum storage value is required, but neither was provided";
        item.at("limits").required(detail, errors);
    }
    for (name, limits) in amounts {
        limits_in_order(name, &limits, item, errors);
    }
}

/// min ≤ default request ≤ default ≤ max.
fn limits_in_order(
    name: &str,
    limits: &BTreeMap<&str, Quantity>,
    item: &Place<'_>,
    errors: &mut ErrorList,
) {
    // Smaller, larger, the list and the amount upstream reports, and their names in words.
    let order = [
        ("min", "max", "min", "min", "min value", "max value"),
        (
            "min",
            "defaultRequest",
            "defaultRequest",
            "defaultRequest",
            "min value",
            "default request value",
        ),
        (
            "defaultRequest",
            "max",
            "defaultRequest",
            "defaultRequest",
            "default request value",
            "max value",
        ),
        (
            "defaultRequest",
            "default",
            "defaultRequest",
            "defaultRequest",
            "default request value",
            "default limit value",
        ),
        (
            "min",
            "default",
            "default",
            "min",
            "min value",
            "default value",
        ),
        (
            "default",
            "max",
            "default",
            "max",
            "default value",
            "max value",
        ),
    ];
    for (small, large, list, shown, small_words, large_words) in order {
        let (Some(lower), Some(upper)) = (limits.get(small), limits.get(large)) else {
            continue;
        };
        if lower > upper {
            let detail = format!("{small_words} {lower} is greater than {large_words} {upper}");
            let value = limits
                .get(shown)
                .map(ToString::to_string)
                .unwrap_or_default();
            errors.push(Error::invalid(&item.at(list).path.key(name), value, detail));
        }
    }
    if let Some(ratio) = limits.get("maxLimitRequestRatio")
        && ratio.milli_value() < 1000
    {
        let path = item.at("maxLimitRequestRatio").path.key(name);
        let detail = format!("ratio {ratio} is less than 1");
        errors.push(Error::invalid(&path, ratio.to_string(), detail));
    }
    let (default, request) = (limits.get("default"), limits.get("defaultRequest"));
    if let (Some(default), Some(request)) = (default, request)
        && !resources::is_overcommitted(name)
        && default != request
    {
        let path = item.at("defaultRequest").path.key(name);
        let detail = format!(
            "default value {default} must equal to defaultRequest value {request} in {name}"
        );
        errors.push(Error::invalid(&path, request.to_string(), detail));
    }
}

/// Fields that may not change, of kinds where nothing else is checked.
pub(super) fn keeps(new: &Value, old: &Value, fields: &[&'static str], errors: &mut ErrorList) {
    for field in fields {
        if !same(new.get(field), old.get(field)) {
            Place::top(new, field).invalid(FIELD_IMMUTABLE, errors);
        }
    }
}
