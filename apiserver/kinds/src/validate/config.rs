//! Config maps and secrets.

use super::place::Place;
use crate::strategy::Part;
use crate::value::{entry_text, flag, has, same};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_machinery::decode::json_lenient;
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::validate::{FIELD_IMMUTABLE, config_map_key};
use serde_json::Value;

/// All data of one object, in bytes.
const DATA_BYTES_MAX: usize = 1024 * 1024;
const SERVICE_ACCOUNT: &str = "kubernetes.io/service-account.name";
const FROZEN: &str = "field is immutable when `immutable` is set";

/// The bytes a base64 text stands for.
fn decoded_len(text: &str) -> usize {
    text.len() / 4 * 3 - text.bytes().rev().take_while(|b| *b == b'=').count().min(2)
}

fn keys(data: &Place<'_>, errors: &mut ErrorList) {
    for (key, place) in data.entries() {
        for message in config_map_key(key) {
            errors.push(Error::invalid(&place.path, key, message));
        }
    }
}

pub(super) fn config_map(object: &Value, errors: &mut ErrorList) {
    let (data, binary) = (Place::top(object, "data"), Place::top(object, "binaryData"));
    keys(&data, errors);
    for (key, place) in data
        .entries()
        .filter(|(key, _)| binary.value.get(key).is_some())
    {
        let detail = "duplicate of key present in binaryData";
        errors.push(Error::invalid(&place.path, key, detail));
    }
    keys(&binary, errors);
    let bytes: usize = data
        .entries()
        .map(|(_, value)| value.text().len())
        .sum::<usize>()
        + binary
            .entries()
            .map(|(_, value)| decoded_len(value.text()))
            .sum::<usize>();
    if bytes > DATA_BYTES_MAX {
        errors.push(Error::too_long(&Path::new(""), DATA_BYTES_MAX));
    }
}

/// What was declared immutable stays so.
fn frozen(new: &Value, old: &Value, fields: &[&'static str], errors: &mut ErrorList) {
    if !flag(old, "immutable") {
        return;
    }
    if !flag(new, "immutable") {
        errors.push(Error::forbidden(&Path::new("immutable"), FROZEN));
    }
    for field in fields {
        if !same(new.get(field), old.get(field)) {
            errors.push(Error::forbidden(&Path::new(*field), FROZEN));
        }
    }
}

pub(super) fn update_config_map(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    frozen(new, old, &["data", "binaryData"], errors);
    config_map(new, errors);
}

pub(super) fn secret(object: &Value, errors: &mut ErrorList) {
    let data = Place::top(object, "data");
    keys(&data, errors);
    let bytes: usize = data
        .entries()
        .map(|(_, value)| decoded_len(value.text()))
        .sum();
    if bytes > DATA_BYTES_MAX {
        errors.push(Error::too_long(&data.path, DATA_BYTES_MAX));
    }
    let require = |key: &str, errors: &mut ErrorList| {
        if !has(data.value, "") || data.value.get(key).is_none() {
            errors.push(Error::required(&data.path.key(key), ""));
        }
    };
    match Place::top(object, "type").text() {
        "kubernetes.io/service-account-token"
            if entry_text(object, "metadata.annotations", SERVICE_ACCOUNT).is_empty() =>
        {
            let path = Path::new("metadata")
                .child("annotations")
                .key(SERVICE_ACCOUNT);
            errors.push(Error::required(&path, ""));
        }
        "kubernetes.io/dockercfg" => json_object(&data, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => json_object(&data, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" => {
            let keys = ["username", "password"];
            if keys.iter().all(|key| data.value.get(key).is_none()) {
                keys.iter().for_each(|key| require(key, errors));
            }
        }
        "kubernetes.io/ssh-auth" if entry_text(object, "data", "ssh-privatekey").is_empty() => {
            errors.push(Error::required(&data.path.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => {
            require("tls.crt", errors);
            require("tls.key", errors);
        }
        _ => {}
    }
}

/// A key whose bytes must be a JSON object. The bytes are never repeated: they are secret.
fn json_object(data: &Place<'_>, key: &str, errors: &mut ErrorList) {
    let path = data.path.key(key);
    let Some(encoded) = data.value.get(key) else {
        errors.push(Error::required(&path, ""));
        return;
    };
    let bytes = STANDARD
        .decode(encoded.as_str().unwrap_or(""))
        .unwrap_or_default();
    let problem = match json_lenient(&bytes) {
        Ok(Value::Object(_) | Value::Null) => return,
        Ok(other) => {
            let found = match other {
                Value::Bool(_) => "bool",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                _ => "array",
            };
            format!(
                "json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
            )
        }
        Err(error) => error.to_string(),
    };
    errors.push(Error::invalid(&path, "<secret contents redacted>", problem));
}

pub(super) fn update_secret(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    let (kind, before) = (Place::top(new, "type"), Place::top(old, "type"));
    if !kind.equals(&before) {
        kind.invalid(FIELD_IMMUTABLE, errors);
    }
    frozen(new, old, &["data"], errors);
    secret(new, errors);
}
