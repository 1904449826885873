//! The few kinds that are served in two versions or groups.

use mainstay_machinery::meta;
use mainstay_machinery::status::{GroupKind, StatusError};
use mainstay_schema::{Gvk, Resource};
use serde_json::{Map, Value};

/// Turns an object as it is stored into what a resource serves.
pub(crate) fn to_served(resource: &Resource, object: &mut Value) {
    convert(object, resource.storage_gvk, resource.gvk());
}

/// The other way.
pub(crate) fn to_stored(resource: &Resource, object: &mut Value) {
    convert(object, resource.gvk(), resource.storage_gvk);
}

/// Refuses what one of two APIs of the same objects does not take although the other does. The objects are as they
/// are stored; there is no old one for a create.
pub(crate) fn check_served(
    resource: &Resource,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), StatusError> {
    if resource.group != "events.k8s.io" {
        return Ok(());
    }
    let errors = mainstay_kinds::strict_event_errors(new, old);
    let kind = GroupKind::new(resource.storage_gvk.group, resource.storage_gvk.kind);
    match errors.is_empty() {
        true => Ok(()),
        false => Err(StatusError::invalid(kind, meta::name(new), &errors)),
    }
}

/// Whether what is stored is what is served.
pub(crate) fn is_same(resource: &Resource) -> bool {
    resource.gvk() == resource.storage_gvk
}

fn convert(object: &mut Value, from: Gvk, to: Gvk) {
    if from == to {
        return;
    }
    match (from.group, to.group) {
        ("", "events.k8s.io") => event(object, &EVENT_FIELDS, false),
        ("events.k8s.io", "") => event(object, &EVENT_FIELDS, true),
        _ if from.kind == "HorizontalPodAutoscaler" => super::scaling::convert(object, to.version),
        _ => {}
    }
    object["apiVersion"] = to.api_version().into();
    object["kind"] = to.kind.into();
}

/// Names of the same fields in the core group and in `events.k8s.io`.
const EVENT_FIELDS: [(&str, &str); 6] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("source", "deprecatedSource"),
];

fn event(object: &mut Value, names: &[(&str, &str)], to_core: bool) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    let mut rename = |from: &str, to: &str| rename(fields, from, to);
    for (core, new) in names {
        match to_core {
            true => rename(new, core),
            false => rename(core, new),
        }
    }
    match to_core {
        true => rename("deprecatedCount", "count"),
        false => rename("count", "deprecatedCount"),
    }
}

fn rename(fields: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = fields.remove(from) {
        fields.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_the_same_under_both_names() {
        let core = mainstay_schema::resource("", "v1", "events").unwrap();
        let other = mainstay_schema::resource("events.k8s.io", "v1", "events").unwrap();
        assert_eq!(core.storage_gvk, other.storage_gvk);
        let (served, twin) = match is_same(core) {
            true => (core, other),
            false => (other, core),
        };
        let before = json!({
            "apiVersion": served.api_version(), "kind": "Event", "metadata": {"name": "a"},
            "involvedObject": {"kind": "Pod"}, "message": "m", "count": 2,
        });
        let mut object = before.clone();
        to_served(twin, &mut object);
        assert_eq!(object["apiVersion"], twin.api_version());
        to_stored(twin, &mut object);
        if served.group.is_empty() {
            assert_eq!(object, before);
        }
    }
}
