//! `metav1.Condition` lists.

use super::content::regex_error;
use super::labels::label_name;
use crate::field::{Error, ErrorList, Path};
use crate::limits::{CONDITION_MESSAGE_BYTES_MAX, CONDITION_REASON_BYTES_MAX};
use serde_json::Value;

/// A list of conditions: each type once, each condition complete.
pub fn conditions(list: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, condition) in list.iter().enumerate() {
        let path = path.index(i);
        if list[..i]
            .iter()
            .any(|earlier| earlier["type"] == condition["type"])
        {
            errors.push(Error::duplicate(&path, condition["type"].clone()));
        }
        one_condition(condition, &path, errors);
    }
}

fn one_condition(condition: &Value, path: &Path, errors: &mut ErrorList) {
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    match text("type") {
        "" => errors.push(Error::required(&path.child("type"), "is required")),
        name => label_name(&path.child("type"), name, errors),
    }
    match text("status") {
        "" => errors.push(Error::required(&path.child("status"), "")),
        "True" | "False" | "Unknown" => {}
        other => errors.push(Error::not_supported(
            &path.child("status"),
            other,
            &["False", "True", "Unknown"],
        )),
    }
    let generation = condition["observedGeneration"].as_i64().unwrap_or_default();
    super::generation::nonnegative(generation, &path.child("observedGeneration"), errors);
    if condition["lastTransitionTime"].is_null() {
        errors.push(Error::required(&path.child("lastTransitionTime"), ""));
    }
    reason(text("reason"), &path.child("reason"), errors);
    if text("message").len() > CONDITION_MESSAGE_BYTES_MAX {
        errors.push(Error::too_long(
            &path.child("message"),
            CONDITION_MESSAGE_BYTES_MAX,
        ));
    }
}

fn reason(reason: &str, path: &Path, errors: &mut ErrorList) {
    if reason.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = reason.as_bytes();
    let valid = bytes[0].is_ascii_alphabetic()
        && bytes.iter().all(|&b| word(b) || b == b',' || b == b':')
        && word(bytes[bytes.len() - 1]);
    if !valid {
        let detail = regex_error(
            "a condition reason must start with alphabetic character, optionally followed by a string of \
             alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
            "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?",
            &[
                "my_name",
                "MY_NAME",
                "MyName",
                "ReasonA,ReasonB",
                "ReasonA:ReasonB",
            ],
        );
        errors.push(Error::invalid(path, reason, detail));
    }
    if reason.len() > CONDITION_REASON_BYTES_MAX {
        errors.push(Error::too_long(path, CONDITION_REASON_BYTES_MAX));
    }
}
