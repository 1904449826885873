//! The directives of strategic merge patches.

use super::error::PatchError;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// In a map of a patch: `replace`, `delete` or `merge`.
pub(super) const PATCH: &str = "$patch";
/// In a map of a patch: the keys that survive.
const RETAIN_KEYS: &str = "$retainKeys";
/// Before a list's name: the order of its elements.
pub(super) const SET_ORDER: &str = "$setElementOrder/";
/// Before a list's name: scalars to remove from it.
pub(super) const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";

pub(super) fn bad_order() -> PatchError {
    PatchError::Malformed("invalid patch format of setElementOrder list".to_owned())
}

fn bad_retain_keys() -> PatchError {
    PatchError::Malformed("invalid patch format of retainKeys".to_owned())
}

/// `$retainKeys`: removes keys of the target that are not listed. Every key the patch sets must be listed.
pub(super) fn retain_keys(
    target: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
) -> Result<(), PatchError> {
    let Some(list) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let list = list.as_array().ok_or_else(bad_retain_keys)?;
    let keys: HashSet<&str> = list.iter().filter_map(Value::as_str).collect();
    let listed = patch.iter().all(|(key, value)| {
        value.is_null()
            || key.starts_with(DELETE_FROM_LIST)
            || key.starts_with(SET_ORDER)
            || keys.contains(key.as_str())
    });
    if !listed {
        return Err(bad_retain_keys());
    }
    target.retain(|key, _| keys.contains(key.as_str()));
    Ok(())
}

/// `$patch` of a map that meets a map: None says to go on merging.
pub(super) fn map_directive(
    patch: &mut Map<String, Value>,
) -> Result<Option<Map<String, Value>>, PatchError> {
    let Some(directive) = patch.get(PATCH) else {
        return Ok(None);
    };
    match directive.as_str() {
        Some("replace") => {
            patch.remove(PATCH);
            Ok(Some(std::mem::take(patch)))
        }
        Some("delete") => Ok(Some(Map::new())),
        _ => Err(PatchError::unknown_directive(directive, patch)),
    }
}

/// What a patch's value is when there is nothing to merge it with: without nulls, and without the maps that carry a
/// directive. None where the value itself is such a map.
pub(super) fn plain(value: Value) -> Option<Value> {
    strip(value, false)
}

/// As [`plain`], but nulls stay: upstream keeps them in lists that `$setElementOrder` orders.
pub(super) fn plain_with_nulls(value: Value) -> Option<Value> {
    strip(value, true)
}

fn strip(value: Value, nulls: bool) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(PATCH) => None,
        Value::Object(map) => {
            let entries = map
                .into_iter()
                .filter(|(_, value)| nulls || !value.is_null());
            let kept = entries.filter_map(|(key, value)| Some((key, strip(value, nulls)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => {
            let kept = items.into_iter().filter_map(|item| strip(item, nulls));
            Some(Value::Array(kept.collect()))
        }
        other => Some(other),
    }
}
