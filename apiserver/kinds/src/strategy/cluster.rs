//! Namespaces, nodes, secrets, service accounts, and the smaller kinds a cluster is run with.

use super::{Context, Part};
use crate::value::{at, at_mut, carry, has, list, same, set, take, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Removed by the namespace's deletion when nothing is left in it.
const KUBERNETES_FINALIZER: &str = "kubernetes";

pub(super) fn create_namespace(namespace: &mut Value, _: &Context<'_>) {
    let mut finalizers = list(namespace, "spec.finalizers").to_vec();
    if !finalizers.iter().any(|known| known == KUBERNETES_FINALIZER) {
        finalizers.push(KUBERNETES_FINALIZER.into());
        set(namespace, "spec.finalizers", finalizers);
    }
}

/// Finalizers change through `finalize` alone.
pub(super) fn update_namespace(new: &mut Value, old: &Value, part: Part, _: &Context<'_>) {
    if part == Part::Main {
        carry(new, old, "spec.finalizers");
    }
}

pub(super) fn create_node(node: &mut Value, _: &Context<'_>) {
    pod_ranges(node);
}

/// A node's range of pod addresses is the first of its ranges; where both are said, the one counts.
fn pod_ranges(node: &mut Value) {
    let one = text(node, "spec.podCIDR").to_owned();
    let first = list(node, "spec.podCIDRs").first();
    let first = first.and_then(Value::as_str).unwrap_or_default().to_owned();
    match (one.is_empty(), first.is_empty()) {
        (false, _) if one != first => set(node, "spec.podCIDRs", json!([one])),
        (true, false) => set(node, "spec.podCIDR", first),
        _ => {}
    }
}

/// The source of a node's configuration, given up long ago, is only kept where it was.
pub(super) fn update_node(new: &mut Value, old: &Value, part: Part, _: &Context<'_>) {
    pod_ranges(new);
    if part == Part::Status && !has(old, "status.config") {
        take(new, "status.config");
    }
    if part == Part::Main && !has(old, "spec.configSource") {
        take(new, "spec.configSource");
    }
}

pub(super) fn create_secret(secret: &mut Value, _: &Context<'_>) {
    merge_string_data(secret);
}

pub(super) fn update_secret(new: &mut Value, old: &Value, _: Part, _: &Context<'_>) {
    merge_string_data(new);
    if text(new, "type").is_empty() {
        carry(new, old, "type");
    }
}

/// `stringData` is written in plain and kept in `data` as base64, over what is there.
fn merge_string_data(secret: &mut Value) {
    let Some(Value::Object(plain)) = take(secret, "stringData") else {
        return;
    };
    if let Some(data) = crate::value::ensure(secret, "data") {
        for (key, value) in plain {
            let bytes = value.as_str().unwrap_or("").as_bytes();
            data.insert(key, STANDARD.encode(bytes).into());
        }
    }
}

pub(super) fn create_service_account(account: &mut Value, _: &Context<'_>) {
    clean_secret_references(account);
}

pub(super) fn update_service_account(new: &mut Value, _: &Value, _: Part, _: &Context<'_>) {
    clean_secret_references(new);
}

/// Of the secrets of a service account only the names count.
fn clean_secret_references(account: &mut Value) {
    if let Some(Value::Array(secrets)) = at_mut(account, "secrets") {
        for secret in secrets {
            *secret = json!({"name": text(secret, "name")});
        }
    }
}

pub(super) fn create_custom_resource(definition: &mut Value, _: &Context<'_>) {
    let stored = storage_version(definition);
    let no_names = json!({"kind": "", "plural": ""});
    let status = json!({"acceptedNames": no_names, "conditions": [], "storedVersions": [stored]});
    set(definition, "status", status);
}

/// Versions that were ever stored stay on record until a status update says none is left.
pub(super) fn update_custom_resource(new: &mut Value, _: &Value, part: Part, _: &Context<'_>) {
    let stored = storage_version(new);
    let mut known = list(new, "status.storedVersions").to_vec();
    if part == Part::Main && !stored.is_empty() && !known.iter().any(|version| *version == stored) {
        known.push(stored.into());
        set(new, "status.storedVersions", known);
    }
}

fn storage_version(definition: &Value) -> String {
    let stored = |version: &&Value| crate::value::flag(version, "storage");
    let version = list(definition, "spec.versions").iter().find(stored);
    version
        .map(|version| text(version, "name").to_owned())
        .unwrap_or_default()
}

pub(super) fn create_slice(slice: &mut Value, ctx: &Context<'_>) {
    date_device_taints(slice, ctx);
}

pub(super) fn update_slice(new: &mut Value, _: &Value, _: Part, ctx: &Context<'_>) {
    date_device_taints(new, ctx);
}

fn date_device_taints(slice: &mut Value, ctx: &Context<'_>) {
    let Some(Value::Array(devices)) = at_mut(slice, "spec.devices") else {
        return;
    };
    for device in devices {
        let Some(Value::Array(taints)) = at_mut(device, "taints") else {
            continue;
        };
        for taint in taints.iter_mut().filter(|taint| !has(taint, "timeAdded")) {
            set(taint, "timeAdded", ctx.now);
        }
    }
}

pub(super) fn create_taint_rule(rule: &mut Value, ctx: &Context<'_>) {
    if !has(rule, "spec.taint.timeAdded") {
        set(rule, "spec.taint.timeAdded", ctx.now);
    }
}

/// The time tells since when the effect holds, so it moves with the effect.
pub(super) fn update_taint_rule(new: &mut Value, old: &Value, part: Part, ctx: &Context<'_>) {
    const TIME: &str = "spec.taint.timeAdded";
    if part != Part::Main {
        return;
    }
    if !has(new, TIME) {
        carry(new, old, TIME);
    }
    let effect = |rule: &Value| text(rule, "spec.taint.effect").to_owned();
    if effect(new) != effect(old) && same(at(new, TIME), at(old, TIME)) {
        set(new, TIME, ctx.now);
    }
}
