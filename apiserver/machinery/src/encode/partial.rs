//! Objects of which a client wants the metadata only.

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
