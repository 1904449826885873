//! Devices: classes of them, claims to them, and the slices that offer them.

use super::place::Place;
use super::storage::driver_name;
use crate::strategy::Part;
use mainstay_machinery::field::{Error, ErrorList};
use mainstay_machinery::validate::qualified_name;
use serde_json::Value;
use std::collections::BTreeSet;

const REQUESTS_MAX: usize = 32;
const ALTERNATIVES_MAX: usize = 8;
const SELECTORS_MAX: usize = 32;
const CONSTRAINTS_MAX: usize = 32;
const CONFIGS_MAX: usize = 32;
const DEVICES_MAX: usize = 128;
/// Attributes and capacities of a device together.
const ATTRIBUTES_MAX: usize = 32;
const PARAMETERS_BYTES_MAX: usize = 10 * 1024;

pub(super) fn class(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    selectors(&spec.at("selectors"), errors);
    let configs = spec.at("config");
    at_most(&configs, CONFIGS_MAX, errors);
    for config in configs.items() {
        opaque(&config, errors);
    }
    let resource = spec.at("extendedResourceName");
    if resource.is_set() {
        resource.messages(fully_qualified(resource.text()), errors);
    }
}

pub(super) fn claim(object: &Value, errors: &mut ErrorList) {
    claim_spec(&Place::top(object, "spec"), errors);
}

pub(super) fn template(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    spec.at("metadata.labels").labels(errors);
    claim_spec(&spec.at("spec"), errors);
}

/// What is asked for stays; a status is the scheduler's and the drivers' business.
pub(super) fn keeps_spec(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part == Part::Main {
        Place::top(new, "spec").immutable(&Place::top(old, "spec"), errors);
    }
}

fn claim_spec(spec: &Place<'_>, errors: &mut ErrorList) {
    let devices = spec.at("devices");
    let requests = devices.at("requests");
    at_most(&requests, REQUESTS_MAX, errors);
    let mut names = BTreeSet::new();
    for one in requests.items() {
        let name = one.at("name");
        match name.is_empty() {
            true => name.required("", errors),
            false => name.dns_label(errors),
        }
        request(&one, errors);
        if !names.insert(name.text()) {
            errors.push(Error::duplicate(&one.path, name.text()));
        }
    }
    let known = |name: &Place<'_>| names.contains(name.text().split('/').next().unwrap_or(""));
    let refers = |place: &Place<'_>, errors: &mut ErrorList| {
        for name in place.at("requests").items().filter(|name| !known(name)) {
            let detail = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
            name.invalid(detail, errors);
        }
    };
    let constraints = devices.at("constraints");
    at_most(&constraints, CONSTRAINTS_MAX, errors);
    for constraint in constraints.items() {
        refers(&constraint, errors);
        let attribute = constraint.at("matchAttribute");
        if attribute.is_set() {
            attribute.messages(fully_qualified(attribute.text()), errors);
        } else if !constraint.at("distinctAttribute").is_set() {
            let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
            constraint.required(detail, errors);
        }
    }
    let configs = devices.at("config");
    at_most(&configs, CONFIGS_MAX, errors);
    for config in configs.items() {
        refers(&config, errors);
        opaque(&config, errors);
    }
}

fn request(request: &Place<'_>, errors: &mut ErrorList) {
    let (exactly, first) = (request.at("exactly"), request.at("firstAvailable"));
    let one = "exactly one of `exactly` or `firstAvailable` is required";
    match (exactly.is_set(), !first.is_empty()) {
        (false, false) => request.required(one, errors),
        (true, true) => {
            let detail = format!("{one}, but multiple fields are set");
            errors.push(Error::invalid(&request.path, Value::Null, detail));
        }
        (true, false) => wanted(&exactly, errors),
        (false, true) => {
            at_most(&first, ALTERNATIVES_MAX, errors);
            let mut names = BTreeSet::new();
            for alternative in first.items() {
                name_once(&alternative.at("name"), &mut names, errors);
                wanted(&alternative, errors);
            }
        }
    }
}

/// Which devices, and how many.
fn wanted(place: &Place<'_>, errors: &mut ErrorList) {
    let class = place.at("deviceClassName");
    match class.is_empty() {
        true => class.required("", errors),
        false => class.dns_subdomain(errors),
    }
    selectors(&place.at("selectors"), errors);
    let (mode, count) = (place.at("allocationMode"), place.at("count"));
    match mode.text() {
        "All" if count.int() != 0 => {
            count.invalid("must not be specified when allocationMode is 'All'", errors);
        }
        "All" => {}
        "ExactCount" => count.positive(errors),
        _ => mode.supported(&["All", "ExactCount"], errors),
    }
    for toleration in place.at("tolerations").items() {
        let operator = toleration.at("operator");
        operator.supported(&["Equal", "Exists"], errors);
        let effect = toleration.at("effect");
        if !effect.is_empty() {
            effect.supported(&["NoExecute", "NoSchedule"], errors);
        }
        if operator.text() == "Exists" && !toleration.at("value").is_empty() {
            let detail = "must be empty for operator `Exists`";
            toleration.at("value").invalid(detail, errors);
        }
    }
}

fn name_once<'v>(name: &Place<'v>, names: &mut BTreeSet<&'v str>, errors: &mut ErrorList) {
    match name.is_empty() {
        true => name.required("", errors),
        false => name.dns_label(errors),
    }
    if !names.insert(name.text()) {
        name.duplicate(errors);
    }
}

fn selectors(list: &Place<'_>, errors: &mut ErrorList) {
    at_most(list, SELECTORS_MAX, errors);
    for selector in list.items() {
        let cel = selector.at("cel");
        match cel.is_set() {
            false => cel.required("", errors),
            // Storing what is never looked at would promise what nobody keeps.
            true => cel.at("expression").forbidden(
                "expressions in the Common Expression Language are not supported by this version",
                errors,
            ),
        }
    }
}

fn opaque(config: &Place<'_>, errors: &mut ErrorList) {
    let opaque = config.at("opaque");
    if !opaque.is_set() {
        opaque.required("", errors);
        return;
    }
    let driver = opaque.at("driver");
    driver.must_be_set(errors);
    driver_name(&driver, errors);
    let parameters = opaque.at("parameters");
    if !parameters.is_set() {
        parameters.required("", errors);
    } else if !parameters.value.is_object() {
        parameters.invalid("must be a valid JSON object", errors);
    } else if parameters.value.to_string().len() > PARAMETERS_BYTES_MAX {
        errors.push(Error::too_long(&parameters.path, PARAMETERS_BYTES_MAX));
    }
}

pub(super) fn slice(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let driver = spec.at("driver");
    driver.must_be_set(errors);
    driver_name(&driver, errors);
    let pool = spec.at("pool");
    pool.at("name").must_be_set(errors);
    if pool.at("resourceSliceCount").int() <= 0 {
        pool.at("resourceSliceCount")
            .invalid("must be greater than zero", errors);
    }
    if pool.at("generation").int() < 0 {
        pool.at("generation")
            .invalid("must be greater than or equal to zero", errors);
    }
    one_place(&spec, errors);
    let devices = spec.at("devices");
    at_most(&devices, DEVICES_MAX, errors);
    let mut names = BTreeSet::new();
    for device in devices.items() {
        name_once(&device.at("name"), &mut names, errors);
        let count = device.at("attributes").len() + device.at("capacity").len();
        if count > ATTRIBUTES_MAX {
            let detail = format!(
                "the total number of attributes and capacities must not exceed {ATTRIBUTES_MAX}"
            );
            errors.push(Error::invalid(&device.path, count, detail));
        }
        for (_, attribute) in device.at("attributes").entries() {
            let kinds = ["bool", "int", "string", "version"];
            let set = kinds.into_iter().filter(|kind| attribute.at(kind).is_set());
            let detail = "exactly one value must be specified";
            match set.count() {
                0 => errors.push(Error::invalid(&attribute.path, "", detail)),
                1 => {}
                _ => attribute.invalid(detail, errors),
            }
        }
    }
}

fn one_place(spec: &Place<'_>, errors: &mut ErrorList) {
    let set = [
        !spec.at("nodeName").is_empty(),
        spec.at("nodeSelector").is_set(),
        spec.at("allNodes").flag(),
        spec.at("perDeviceNodeSelection").flag(),
    ];
    let detail = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set.iter().filter(|set| **set).count() {
        1 => {}
        0 => spec.required(detail, errors),
        _ => errors.push(Error::invalid(&spec.path, Value::Null, detail)),
    }
}

pub(super) fn update_slice(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    let (new, old) = (Place::top(new, "spec"), Place::top(old, "spec"));
    for field in ["driver", "pool.name", "nodeName"] {
        new.at(field).immutable(&old.at(field), errors);
    }
}

fn at_most(list: &Place<'_>, max: usize, errors: &mut ErrorList) {
    if list.len() > max {
        errors.push(Error::too_many(&list.path, list.len(), max));
    }
}

/// A name with a domain before it.
fn fully_qualified(name: &str) -> Vec<String> {
    match name.split_once('/') {
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => qualified_name(name),
        _ => vec!["must include a domain".to_owned()],
    }
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
    fn claims_ask_for_devices_of_a_class() {
        let exactly = |value: Value| json!({"spec": {"devices": {"requests": [{"name": "r", "exactly": value}]}}});
        let path = "spec.devices.requests[0].exactly";
        let cases = [
            (
                json!({"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1}),
                String::new(),
            ),
            (
                json!({"allocationMode": "All"}),
                format!("{path}.deviceClassName: Required value"),
            ),
            (
                json!({"deviceClassName": "c", "allocationMode": "All", "count": 1}),
                format!(
                    "{path}.count: Invalid value: 1: must not be specified when allocationMode is 'All'"
                ),
            ),
            (
                json!({"deviceClassName": "c", "allocationMode": "Some"}),
                format!(
                    "{path}.allocationMode: Unsupported value: \"Some\": supported values: \"All\", \"ExactCount\""
                ),
            ),
            (
                json!({"deviceClassName": "c", "allocationMode": "All", "selectors": [{"cel": {"expression": "true"}}]}),
                format!(
                    "{path}.selectors[0].cel.expression: Forbidden: expressions in the Common Expression Language are not supported by this version"
                ),
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(found(claim, &exactly(value)), expected);
        }
        let neither = json!({"spec": {"devices": {"requests": [{"name": "r"}]}}});
        assert_eq!(
            found(claim, &neither),
            "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"
        );
    }

    #[test]
    fn slices_are_somewhere() {
        let slice_of = |more: Value| {
            let mut spec = json!({"driver": "d", "pool": {"name": "p", "resourceSliceCount": 1}});
            for (key, value) in more.as_object().unwrap() {
                spec[key] = value.clone();
            }
            json!({ "spec": spec })
        };
        assert_eq!(found(slice, &slice_of(json!({"nodeName": "n"}))), "");
        assert!(found(slice, &slice_of(json!({}))).contains("is required"));
        assert!(
            found(slice, &slice_of(json!({"nodeName": "n", "allNodes": true})))
                .contains("is required")
        );
        let twice = json!({"allNodes": true, "devices": [{"name": "a"}, {"name": "a"}]});
        assert_eq!(
            found(slice, &slice_of(twice)),
            "spec.devices[1].name: Duplicate value: \"a\""
        );
    }
}
