//! The order of merged lists.

use super::directive::PATCH;
use super::error::PatchError;
use super::list_merge::key_text;
use crate::gofmt::display;
use serde_json::Value;
use std::collections::HashMap;

/// What tells an element apart: its merge key's value, or the scalar itself.
fn identity(item: &Value, merge_key: &str) -> Result<String, PatchError> {
    if merge_key.is_empty() {
        return Ok(key_text(item));
    }
    match item {
        Value::Object(map) => match map.get(merge_key) {
            Some(key) => Ok(key_text(key)),
            None => Err(PatchError::no_merge_key(map, merge_key)),
        },
        other => Err(PatchError::wrong_type("map[string]interface {}", other)),
    }
}

/// Every element of the patch must be in `$setElementOrder`, in the same order.
pub(super) fn check_order(
    patch: &[Value],
    order: &[Value],
    merge_key: &str,
) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for item in patch.iter().filter(|item| item.get(PATCH).is_none()) {
        let wanted = identity(item, merge_key)?;
        loop {
            let Some(next) = rest.next() else {
                return Err(PatchError::Internal(format!(
                    "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                    display(&Value::Array(patch.to_vec())),
                    display(&Value::Array(order.to_vec()))
                )));
            };
            if identity(next, merge_key)? == wanted {
                break;
            }
        }
    }
    Ok(())
}

/// Sorts a merged list: elements of the order as it says; all others keep their places of before relative to their
/// old neighbours, which is decided by merging the two sequences.
pub(super) fn sort_by_order(
    merged: Vec<Value>,
    order: &[Value],
    before: &[Value],
    merge_key: &str,
) -> Result<Vec<Value>, PatchError> {
    let ranks = positions(order, merge_key)?;
    let old = positions_lenient(before, merge_key);
    let (mut ordered, mut others) = (Vec::new(), Vec::new());
    for item in merged {
        let id = identity(&item, merge_key)?;
        match ranks.get(&id) {
            Some(rank) => ordered.push((*rank, old.get(&id).copied(), item)),
            None => others.push((old.get(&id).copied(), item)),
        }
    }
    ordered.sort_by_key(|(rank, ..)| *rank);
    Ok(interleave(ordered, others))
}

/// An element that only the server has goes before an ordered one that it preceded in the old list.
fn interleave(
    ordered: Vec<(usize, Option<usize>, Value)>,
    others: Vec<(Option<usize>, Value)>,
) -> Vec<Value> {
    let mut sorted = Vec::with_capacity(ordered.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, place, item) in ordered {
        if let Some(place) = place {
            while let Some((_, other)) = others.next_if(|(at, _)| at.is_some_and(|at| at < place)) {
                sorted.push(other);
            }
        }
        sorted.push(item);
    }
    sorted.extend(others.map(|(_, other)| other));
    sorted
}

fn positions(list: &[Value], merge_key: &str) -> Result<HashMap<String, usize>, PatchError> {
    let mut positions = HashMap::with_capacity(list.len());
    for (i, item) in list.iter().enumerate() {
        positions.entry(identity(item, merge_key)?).or_insert(i);
    }
    Ok(positions)
}

/// As [`positions`] for what is stored, where an element without the key has no place.
fn positions_lenient(list: &[Value], merge_key: &str) -> HashMap<String, usize> {
    let mut positions = HashMap::with_capacity(list.len());
    for (i, item) in list.iter().enumerate() {
        if let Ok(id) = identity(item, merge_key) {
            positions.entry(id).or_insert(i);
        }
    }
    positions
}
