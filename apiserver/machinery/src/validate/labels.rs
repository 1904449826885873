//! Labels, annotations, finalizers and label selectors inside objects.

use super::content::{label_value, qualified_name};
use crate::field::{Error, ErrorList, Path};
use crate::limits::ANNOTATIONS_BYTES_MAX;
use serde_json::{Map, Value};

/// A label's key.
pub fn label_name(path: &Path, name: &str, errors: &mut ErrorList) {
    errors.extend(
        qualified_name(name)
            .into_iter()
            .map(|m| Error::invalid(path, name, m)),
    );
}

/// All labels of an object. Values that are no strings are left to the shape's validation.
pub fn labels(path: &Path, labels: &Map<String, Value>, errors: &mut ErrorList) {
    for (key, value) in labels {
        label_name(path, key, errors);
        let value = value.as_str().unwrap_or_default();
        errors.extend(
            label_value(value)
                .into_iter()
                .map(|m| Error::invalid(path, value, m)),
        );
    }
}

/// All annotations of an object: keys as label keys but for case, and 256 KiB in all.
pub fn annotations(path: &Path, annotations: &Map<String, Value>, errors: &mut ErrorList) {
    let mut bytes = 0;
    for (key, value) in annotations {
        let messages = qualified_name(&key.to_lowercase());
        errors.extend(
            messages
                .into_iter()
                .map(|m| Error::invalid(path, key.as_str(), m)),
        );
        bytes += key.len() + value.as_str().unwrap_or_default().len();
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(Error::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
}

/// A `LabelSelector`: matchLabels and matchExpressions. `allow_invalid_values` keeps old objects valid.
pub fn label_selector(
    path: &Path,
    selector: &Value,
    allow_invalid_values: bool,
    errors: &mut ErrorList,
) {
    if let Some(map) = selector["matchLabels"].as_object() {
        labels(&path.child("matchLabels"), map, errors);
    }
    let expressions = selector["matchExpressions"].as_array();
    for (i, expression) in expressions.into_iter().flatten().enumerate() {
        let path = path.child("matchExpressions").index(i);
        label_selector_requirement(&path, expression, allow_invalid_values, errors);
    }
}

fn label_selector_requirement(
    path: &Path,
    requirement: &Value,
    allow_invalid_values: bool,
    errors: &mut ErrorList,
) {
    let values = requirement["values"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let operator = requirement["operator"].as_str().unwrap_or_default();
    match operator {
        "In" | "NotIn" if values.is_empty() => errors.push(Error::required(
            &path.child("values"),
            "must be specified when `operator` is 'In' or 'NotIn'",
        )),
        "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(Error::forbidden(
            &path.child("values"),
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => errors.push(Error::invalid(
            &path.child("operator"),
            operator,
            "not a valid selector operator",
        )),
    }
    let key = requirement["key"].as_str().unwrap_or_default();
    label_name(&path.child("key"), key, errors);
    if allow_invalid_values {
        return;
    }
    for (i, value) in values.iter().enumerate() {
        let value = value.as_str().unwrap_or_default();
        let path = path.child("values").index(i);
        errors.extend(
            label_value(value)
                .into_iter()
                .map(|m| Error::invalid(&path, value, m)),
        );
    }
}
