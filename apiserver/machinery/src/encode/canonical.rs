//! The stored form.

use serde_json::{Map, Value};

/// Bytes to reserve for an object: most are between one and four KiB.
const RESERVE_BYTES: usize = 2048;

/// The bytes of an object as it is stored: kind, apiVersion and metadata first, without resourceVersion. A missing
/// kind or apiVersion is written empty and missing metadata as `{}`, so that the places are the same for all.
pub fn canonical(object: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(RESERVE_BYTES);
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    out.extend_from_slice(b"{\"kind\":");
    write(&mut out, &text("kind"));
    out.extend_from_slice(b",\"apiVersion\":");
    write(&mut out, &text("apiVersion"));
    out.extend_from_slice(b",\"metadata\":{");
    let mut separator: &[u8] = b"";
    for (key, value) in entries(object["metadata"].as_object(), &["resourceVersion"]) {
        out.extend_from_slice(separator);
        entry(&mut out, key, value);
        separator = b",";
    }
    out.push(b'}');
    for (key, value) in entries(object.as_object(), &["kind", "apiVersion", "metadata"]) {
        out.push(b',');
        entry(&mut out, key, value);
    }
    out.push(b'}');
    out
}

/// The bytes of any value.
pub fn json(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(RESERVE_BYTES);
    write(&mut out, value);
    out
}

fn entries<'a>(
    map: Option<&'a Map<String, Value>>,
    without: &'a [&'a str],
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    map.into_iter()
        .flatten()
        .filter(|(key, _)| !without.contains(&key.as_str()))
}

fn entry(out: &mut Vec<u8>, key: &str, value: &Value) {
    write(out, &key);
    out.push(b':');
    write(out, value);
}

pub(super) fn write(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    serde_json::to_writer(out, value).expect("a Value with string keys always serializes");
}
