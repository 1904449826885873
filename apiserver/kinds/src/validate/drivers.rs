//! What storage drivers and those who work with them write: drivers, their nodes, capacities and attachments.

use super::place::Place;
use super::storage::driver_name;
use crate::strategy::Part;
use crate::value::{list, same};
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::validate::dns1123_subdomain;
use serde_json::Value;
use std::collections::BTreeSet;

const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
const ALLOCATABLE_PERIOD_SECONDS_MIN: i64 = 10;
const NODE_ID_BYTES_MAX: usize = 192;
/// Length of messages of drivers that a status keeps.
const MESSAGE_BYTES_MAX: usize = 1024;

pub(super) fn driver(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    // Upstream's path has one letter more than the field.
    if !spec.at("attachRequired").is_set() {
        errors.push(Error::required(&spec.path.child("attachedRequired"), ""));
    }
    for name in ["podInfoOnMount", "storageCapacity"] {
        if !spec.at(name).is_set() {
            spec.at(name).required("", errors);
        }
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    spec.at("fsGroupPolicy").optional_one_of(&policies, errors);
    tokens(&spec.at("tokenRequests"), errors);
    let modes = spec.at("volumeLifecycleModes");
    for mode in modes.items() {
        let known = ["Persistent", "Ephemeral"];
        if !known.contains(&mode.text()) {
            errors.push(Error::not_supported(&modes.path, mode.text(), &known));
        }
    }
    if !spec.at("seLinuxMount").is_set() {
        spec.at("seLinuxMount").required("", errors);
    }
    let period = spec.at("nodeAllocatableUpdatePeriodSeconds");
    if period.is_set() && period.int() < ALLOCATABLE_PERIOD_SECONDS_MIN {
        period.invalid("must be greater than or equal to 10 seconds", errors);
    }
}

fn tokens(requests: &Place<'_>, errors: &mut ErrorList) {
    let mut audiences = BTreeSet::new();
    for request in requests.items() {
        if !audiences.insert(request.at("audience").text()) {
            request.at("audience").duplicate(errors);
            continue;
        }
        let seconds = request.at("expirationSeconds");
        if seconds.is_set() && seconds.int() < TOKEN_SECONDS_MIN {
            seconds.invalid("may not specify a duration less than 10 minutes", errors);
        }
        if seconds.int() > TOKEN_SECONDS_MAX {
            let detail = "may not specify a duration larger than 2^32 seconds";
            seconds.invalid(detail, errors);
        }
    }
}

pub(super) fn update_driver(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    let (spec, before) = (Place::top(new, "spec"), Place::top(old, "spec"));
    let modes = "volumeLifecycleModes";
    spec.at(modes).immutable(&before.at(modes), errors);
}

pub(super) fn node(object: &Value, errors: &mut ErrorList) {
    let mut names = BTreeSet::new();
    for driver in Place::top(object, "spec").at("drivers").items() {
        let name = driver.at("name");
        if name.is_empty() {
            name.required("", errors);
        }
        driver_name(&name, errors);
        let id = driver.at("nodeID");
        id.must_be_set(errors);
        if id.text().len() > NODE_ID_BYTES_MAX {
            let detail = format!("must be {NODE_ID_BYTES_MAX} characters or less");
            id.invalid(detail, errors);
        }
        let count = driver.at("allocatable.count");
        if count.is_set() {
            count.nonnegative(errors);
        }
        if !names.insert(name.text()) {
            name.duplicate(errors);
        }
        let mut keys = BTreeSet::new();
        for key in driver.at("topologyKeys").items() {
            let here = Place {
                path: driver.path.clone(),
                ..key
            };
            if here.text().is_empty() {
                here.required("", errors);
            }
            if !keys.insert(here.text()) {
                here.duplicate(errors);
            }
            here.qualified_name(errors);
        }
    }
}

/// Drivers come and go, but one that stays may only change how many volumes it can take.
pub(super) fn update_node(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    let without_count = |driver: &Value| {
        let mut driver = driver.clone();
        crate::value::take(&mut driver, "allocatable");
        driver
    };
    for before in list(old, "spec.drivers") {
        for after in list(new, "spec.drivers") {
            let unchanged = same(Some(&without_count(before)), Some(&without_count(after)));
            if before["name"] == after["name"] && !unchanged {
                let path = Path::new("spec").child("drivers");
                errors.push(Error::invalid(&path, after.clone(), "field is immutable"));
            }
        }
    }
}

pub(super) fn capacity(object: &Value, errors: &mut ErrorList) {
    Place::top(object, "nodeTopology").selector(errors);
    let class = Place::top(object, "storageClassName");
    class.messages(dns1123_subdomain(class.text()), errors);
    let capacity = Place::top(object, "capacity");
    if capacity
        .quantity()
        .is_some_and(|amount| amount.signum() < 0)
    {
        capacity.invalid("must be greater than or equal to 0", errors);
    }
}

pub(super) fn update_capacity(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    for field in ["nodeTopology", "storageClassName"] {
        Place::top(new, field).immutable(&Place::top(old, field), errors);
    }
}

pub(super) fn attachment(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let attacher = spec.at("attacher");
    attacher.must_be_set(errors);
    driver_name(&attacher, errors);
    let source = spec.at("source");
    let volume = source.at("persistentVolumeName");
    match (volume.is_set(), source.at("inlineVolumeSpec").is_set()) {
        (false, false) => {
            let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            source.required(detail, errors);
        }
        (true, true) => {
            let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            errors.push(Error::invalid(&source.path, source.value.clone(), detail));
        }
        (true, false) if volume.is_empty() => {
            volume.required("must specify non empty persistentVolumeName", errors);
        }
        _ => {}
    }
    let node = spec.at("nodeName");
    node.messages(dns1123_subdomain(node.text()), errors);
    for name in ["attachError", "detachError"] {
        let message = Place::top(object, "status").at(name).at("message");
        if message.text().len() > MESSAGE_BYTES_MAX {
            errors.push(Error::too_long(&message.path, MESSAGE_BYTES_MAX));
        }
    }
}

pub(super) fn update_attachment(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part == Part::Status {
        attachment(new, errors);
    }
    Place::top(new, "spec").immutable(&Place::top(old, "spec"), errors);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(rule: fn(&Value, &mut ErrorList), object: &Value) -> String {
        let mut errors = ErrorList::default();
        rule(object, &mut errors);
        match errors.is_empty() {
            true => String::new(),
            false => errors.to_string(),
        }
    }

    #[test]
    fn drivers_and_their_nodes() {
        let spec = |field: &str, value: Value| {
            let mut spec = json!({"attachRequired": true, "podInfoOnMount": false,
                "storageCapacity": false, "seLinuxMount": false});
            spec[field] = value;
            json!({ "spec": spec })
        };
        let cases = [
            ("fsGroupPolicy", json!("File"), ""),
            (
                "attachRequired",
                Value::Null,
                "spec.attachedRequired: Required value",
            ),
            (
                "fsGroupPolicy",
                json!("Odd"),
                "spec.fsGroupPolicy: Unsupported value: \"Odd\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\"",
            ),
            (
                "tokenRequests",
                json!([{"audience": "a", "expirationSeconds": 5}]),
                "spec.tokenRequests[0].expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes",
            ),
            (
                "tokenRequests",
                json!([{"audience": "a"}, {"audience": "a"}]),
                "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
            ),
        ];
        for (field, value, expected) in cases {
            assert_eq!(found(driver, &spec(field, value)), expected, "{field}");
        }
        let drivers = json!({"spec": {"drivers": [
            {"name": "d", "nodeID": "n", "topologyKeys": ["a"]}, {"name": "d", "nodeID": ""},
        ]}});
        assert_eq!(
            found(node, &drivers),
            "[spec.drivers[1].nodeID: Required value, spec.drivers[1].name: Duplicate value: \"d\"]"
        );
        let old = json!({"spec": {"drivers": [{"name": "d", "nodeID": "n", "allocatable": {"count": 1}}]}});
        let mut new = old.clone();
        new["spec"]["drivers"][0]["allocatable"]["count"] = json!(2);
        let mut errors = ErrorList::default();
        update_node(&new, &old, Part::Main, &mut errors);
        assert!(errors.is_empty());
        new["spec"]["drivers"][0]["nodeID"] = json!("m");
        update_node(&new, &old, Part::Main, &mut errors);
        assert!(errors.to_string().ends_with("field is immutable"));
    }

    #[test]
    fn attachments_name_one_volume() {
        let with =
            |source: Value| json!({"spec": {"attacher": "a", "nodeName": "n", "source": source}});
        let one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        assert_eq!(
            found(attachment, &with(json!({"persistentVolumeName": "v"}))),
            ""
        );
        assert_eq!(
            found(attachment, &with(json!({}))),
            format!("spec.source: Required value: {one}")
        );
        assert_eq!(
            found(attachment, &with(json!({"persistentVolumeName": ""}))),
            "spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName"
        );
    }
}
