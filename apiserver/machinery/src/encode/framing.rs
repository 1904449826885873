//! Lists made of stored bytes.

use super::canonical::write;
use super::splice::{metadata_offset, splice_bytes};

/// What follows the last item of a list.
pub const LIST_TAIL: &[u8] = b"]}";

/// `metadata` of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListMeta {
    /// The version the list is of; 0 leaves it out.
    pub resource_version: u64,
    /// The token for the rest; empty where there is none.
    pub continue_token: String,
    /// How many items the rest has, where that is known.
    pub remaining_item_count: Option<i64>,
}

/// A list up to its first item: `{"kind":"PodList","apiVersion":"v1","metadata":{…},"items":[`.
pub fn list_head(kind: &str, api_version: &str, meta: &ListMeta) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"kind\":");
    write(&mut out, &kind);
    out.extend_from_slice(b",\"apiVersion\":");
    write(&mut out, &api_version);
    out.extend_from_slice(b",\"metadata\":");
    write(&mut out, &meta_value(meta));
    out.extend_from_slice(b",\"items\":[");
    out
}

fn meta_value(meta: &ListMeta) -> serde_json::Value {
    let mut map = serde_json::Map::new();
    if meta.resource_version > 0 {
        map.insert(
            "resourceVersion".to_owned(),
            meta.resource_version.to_string().into(),
        );
    }
    if !meta.continue_token.is_empty() {
        map.insert("continue".to_owned(), meta.continue_token.as_str().into());
    }
    if let Some(count) = meta.remaining_item_count {
        map.insert("remainingItemCount".to_owned(), count.into());
    }
    serde_json::Value::Object(map)
}

/// Appends a stored object as the item of a typed list: with its resource version and, as upstream, without kind and
/// apiVersion. `first` says whether no comma goes before it. Says whether the bytes were canonical.
pub fn list_item(stored: &[u8], resource_version: u64, first: bool, out: &mut Vec<u8>) -> bool {
    const KEY_BYTES: usize = "\"metadata\":{".len();
    let Some(offset) = metadata_offset(stored) else {
        return false;
    };
    if !first {
        out.push(b',');
    }
    out.push(b'{');
    splice_bytes(&stored[offset - KEY_BYTES..], resource_version, out)
}
