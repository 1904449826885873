//! Objects of which a client wants the metadata only.

use super::splice::{metadata, version_text};
use serde_json::{Map, Value, json};

const API_VERSION: &str = "meta.k8s.io/v1";

/// `PartialObjectMetadata` of an object.
pub fn partial_metadata(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": API_VERSION,
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| Value::Object(Map::new())),
    })
}

/// Appends the `PartialObjectMetadata` of a stored object, with its resource version. Says whether the bytes were
/// canonical; otherwise nothing is written.
pub fn partial_bytes(stored: &[u8], resource_version: u64, out: &mut Vec<u8>) -> bool {
    const HEAD: &[u8] =
        b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{";
    let Some(metadata) = metadata(stored) else {
        return false;
    };
    out.extend_from_slice(HEAD);
    out.extend_from_slice(version_text(metadata, 1, resource_version).as_bytes());
    out.extend_from_slice(&metadata[1..]);
    out.push(b'}');
    true
}

/// `PartialObjectMetadataList` of a list. Its items carry kind and apiVersion as upstream's do.
pub fn partial_metadata_list(list: &Value) -> Value {
    let items = list["items"].as_array().into_iter().flatten();
    json!({
        "kind": "PartialObjectMetadataList",
        "apiVersion": API_VERSION,
        "metadata": list.get("metadata").cloned().unwrap_or_else(|| Value::Object(Map::new())),
        "items": items.map(partial_metadata).collect::<Vec<_>>(),
    })
}
