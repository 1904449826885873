//! The cells of volumes, claims and their classes.

use super::cells::{UNSET, name_or_default};
use crate::value::{at, entry, has, list, text};
use serde_json::Value;

/// Once named the class of a volume or claim, and still wins.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const DEFAULT_CLASS_BETA: &str = "storageclass.beta.kubernetes.io/is-default-class";

pub(super) fn phase(object: &Value, _: i64) -> Value {
    let gone = has(object, "metadata.deletionTimestamp");
    if gone {
        "Terminating".into()
    } else {
        text(object, "status.phase").into()
    }
}

pub(super) fn class(object: &Value, _: i64) -> Value {
    let annotated = entry(object, "metadata.annotations", CLASS_ANNOTATION).and_then(Value::as_str);
    annotated
        .unwrap_or_else(|| text(object, "spec.storageClassName"))
        .into()
}

fn modes(modes: &[Value]) -> Value {
    const SHORT: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let given = |(mode, _): &&(&str, &str)| modes.iter().any(|known| known == *mode);
    let short: Vec<&str> = SHORT
        .iter()
        .filter(given)
        .map(|(_, short)| *short)
        .collect();
    short.join(",").into()
}

pub(super) fn volume_modes(volume: &Value, _: i64) -> Value {
    modes(list(volume, "spec.accessModes"))
}

fn is_bound(claim: &Value) -> bool {
    !text(claim, "spec.volumeName").is_empty()
}

pub(super) fn claim_modes(claim: &Value, _: i64) -> Value {
    if is_bound(claim) {
        modes(list(claim, "status.accessModes"))
    } else {
        "".into()
    }
}

pub(super) fn claim_capacity(claim: &Value, _: i64) -> Value {
    let capacity = at(claim, "status.capacity.storage").and_then(Value::as_str);
    if is_bound(claim) {
        capacity.unwrap_or("0").into()
    } else {
        "".into()
    }
}

pub(super) fn claim(volume: &Value, _: i64) -> Value {
    match at(volume, "spec.claimRef") {
        Some(claim) => format!("{}/{}", text(claim, "namespace"), text(claim, "name")).into(),
        None => "".into(),
    }
}

pub(super) fn storage_class_name(class: &Value, _: i64) -> Value {
    let beta = name_or_default(class, DEFAULT_CLASS_BETA);
    if beta == text(class, "metadata.name") {
        name_or_default(class, DEFAULT_CLASS)
    } else {
        beta
    }
}

pub(super) fn token_audiences(driver: &Value, _: i64) -> Value {
    if !has(driver, "spec.tokenRequests") {
        return UNSET.into();
    }
    let requests = list(driver, "spec.tokenRequests").iter();
    requests
        .map(|request| text(request, "audience"))
        .collect::<Vec<_>>()
        .join(",")
        .into()
}
