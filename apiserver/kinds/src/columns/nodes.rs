//! The cells of nodes and components.

use super::cells::{NONE, or};
use crate::value::{entries, flag, list, text};
use serde_json::Value;
use std::collections::BTreeSet;

const ROLE_LABEL_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

pub(super) fn status(node: &Value, _: i64) -> Value {
    let mut conditions = list(node, "status.conditions").iter().rev();
    let ready = match conditions.find(|condition| text(condition, "type") == "Ready") {
        Some(condition) if text(condition, "status") == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let cordoned = if flag(node, "spec.unschedulable") {
        ",SchedulingDisabled"
    } else {
        ""
    };
    format!("{ready}{cordoned}").into()
}

pub(super) fn roles(node: &Value, _: i64) -> Value {
    let mut roles = BTreeSet::new();
    for (key, value) in entries(node, "metadata.labels") {
        match (
            key.strip_prefix(ROLE_LABEL_PREFIX),
            value.as_str().unwrap_or(""),
        ) {
            (Some(role), _) if !role.is_empty() => roles.insert(role),
            (None, role) if key == ROLE_LABEL && !role.is_empty() => roles.insert(role),
            _ => false,
        };
    }
    or(&roles.into_iter().collect::<Vec<_>>().join(","), NONE).into()
}

pub(super) fn internal_ip(node: &Value, _: i64) -> Value {
    address(node, "InternalIP")
}

pub(super) fn external_ip(node: &Value, _: i64) -> Value {
    address(node, "ExternalIP")
}

fn address(node: &Value, kind: &str) -> Value {
    let mut addresses = list(node, "status.addresses").iter();
    let found = addresses.find(|address| text(address, "type") == kind);
    found
        .map_or(NONE, |address| text(address, "address"))
        .into()
}

pub(super) fn kernel(node: &Value, _: i64) -> Value {
    let version = or(text(node, "status.nodeInfo.kernelVersion"), "<unknown>");
    match text(node, "status.nodeInfo.architecture") {
        "" => version.into(),
        architecture => format!("{version} ({architecture})").into(),
    }
}

fn health(component: &Value) -> Option<&Value> {
    list(component, "conditions")
        .iter()
        .find(|condition| text(condition, "type") == "Healthy")
}

pub(super) fn component_status(component: &Value, _: i64) -> Value {
    match health(component) {
        Some(condition) if text(condition, "status") == "True" => "Healthy".into(),
        Some(_) => "Unhealthy".into(),
        None => "Unknown".into(),
    }
}

pub(super) fn component_message(component: &Value, _: i64) -> Value {
    health(component)
        .map_or("", |condition| text(condition, "message"))
        .into()
}

pub(super) fn component_error(component: &Value, _: i64) -> Value {
    health(component)
        .map_or("", |condition| text(condition, "error"))
        .into()
}
