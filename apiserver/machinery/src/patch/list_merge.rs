//! Lists that merge.

use super::directive::PATCH;
use super::error::PatchError;
use super::order::sort_by_order;
use super::strategic::{Known, merge_map};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// The index of a merge key's value in a list. Values are compared as JSON text.
pub(super) fn key_text(value: &Value) -> String {
    value.to_string()
}

/// Merges a patch's list into a list: scalars as a set, maps by their merge key.
pub(super) fn merge_list(
    old: Vec<Value>,
    new: Vec<Value>,
    merge_key: &str,
    known: Known,
) -> Result<Vec<Value>, PatchError> {
    let Some(first) = old.first().or(new.first()) else {
        return Ok(old);
    };
    check_same_type(first, &old, &new)?;
    if !first.is_object() {
        return merge_scalars(old, new);
    }
    if merge_key.is_empty() {
        let name = known.name();
        return Err(PatchError::Internal(format!(
            "cannot merge lists without merge key for {name}"
        )));
    }
    let before = old.clone();
    let (old, new) = apply_special_elements(old, new, merge_key)?;
    let order: Vec<Value> = new.iter().map(|item| keyed(item, merge_key)).collect();
    let merged = merge_maps(old, new, merge_key, known)?;
    sort_by_order(merged, &order, &before, merge_key)
}

/// A map of the merge key alone, for ordering.
fn keyed(item: &Value, merge_key: &str) -> Value {
    let mut map = Map::new();
    if let Some(value) = item.get(merge_key) {
        map.insert(merge_key.to_owned(), value.clone());
    }
    Value::Object(map)
}

fn check_same_type(first: &Value, old: &[Value], new: &[Value]) -> Result<(), PatchError> {
    let kind = std::mem::discriminant(first);
    if first.is_array() {
        return Err(PatchError::Unprocessable(
            "lists of lists are not supported".to_owned(),
        ));
    }
    for item in old.iter().chain(new) {
        if std::mem::discriminant(item) != kind {
            return Err(PatchError::Internal(format!(
                "list element types are not identical: {}, {}",
                crate::gofmt::type_name(first),
                crate::gofmt::type_name(item)
            )));
        }
    }
    Ok(())
}

fn merge_scalars(old: Vec<Value>, new: Vec<Value>) -> Result<Vec<Value>, PatchError> {
    let before = old.clone();
    let order = new.clone();
    let mut seen = HashSet::new();
    let both = old.into_iter().chain(new);
    let merged = both.filter(|item| seen.insert(key_text(item))).collect();
    sort_by_order(merged, &order, &before, "")
}

/// `$deleteFromPrimitiveList`.
pub(super) fn delete_scalars(items: &mut Vec<Value>, deleted: &[Value]) -> Result<(), PatchError> {
    if items
        .first()
        .or(deleted.first())
        .is_some_and(Value::is_object)
    {
        return Err(PatchError::Malformed(
            "invalid patch format of primitive list".to_owned(),
        ));
    }
    let deleted: HashSet<String> = deleted.iter().map(key_text).collect();
    items.retain(|item| !deleted.contains(&key_text(item)));
    Ok(())
}

/// Elements with `$patch`: `delete` removes the element of that key, `replace` makes the patch's list the list.
fn apply_special_elements(
    mut old: Vec<Value>,
    new: Vec<Value>,
    merge_key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut plain = Vec::with_capacity(new.len());
    let mut replace = false;
    for item in new {
        let Value::Object(map) = &item else { continue };
        let Some(directive) = map.get(PATCH) else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let key = map
                    .get(merge_key)
                    .ok_or_else(|| PatchError::no_merge_key(map, merge_key))?;
                old.retain(|item| item.get(merge_key) != Some(key));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                let message = "merging lists cannot yet be specified in the patch";
                return Err(PatchError::Internal(message.to_owned()));
            }
            _ => return Err(PatchError::unknown_directive(directive, map)),
        }
    }
    Ok(if replace {
        (plain, Vec::new())
    } else {
        (old, plain)
    })
}

fn merge_maps(
    mut merged: Vec<Value>,
    new: Vec<Value>,
    merge_key: &str,
    known: Known,
) -> Result<Vec<Value>, PatchError> {
    let mut places: HashMap<String, usize> = HashMap::with_capacity(merged.len());
    for (i, item) in merged.iter().enumerate() {
        if let Some(key) = item.get(merge_key) {
            places.entry(key_text(key)).or_insert(i);
        }
    }
    for item in new {
        let Value::Object(patch) = item else { continue };
        let key = patch
            .get(merge_key)
            .map(key_text)
            .ok_or_else(|| PatchError::no_merge_key(&patch, merge_key))?;
        match places.get(&key).and_then(|at| merged.get_mut(*at)) {
            Some(Value::Object(old)) => {
                *old = merge_map(std::mem::take(old), patch, known)?;
            }
            _ => {
                places.insert(key, merged.len());
                merged.push(Value::Object(patch));
            }
        }
    }
    Ok(merged)
}
