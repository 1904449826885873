//! Strategic merge patch: lists merge by key where the schema says so.
//!
//! The rules are those of apimachinery: a map's `$retainKeys` first, then lists with `$setElementOrder`, then all
//! other keys; null removes; a value of another JSON type replaces.

use super::directive::{
    DELETE_FROM_LIST, SET_ORDER, bad_order, map_directive, plain, plain_with_nulls, retain_keys,
};
use super::error::PatchError;
use super::list_merge::{delete_scalars, merge_list};
use super::order::{check_order, sort_by_order};
use mainstay_schema::{Shape, Type, TypeDef, TypeId, schema};
use serde_json::{Map, Value};

/// What is known of the values under a map's keys.
#[derive(Clone, Copy)]
pub(super) enum Known {
    /// The map is a struct.
    Struct(&'static TypeDef),
    /// All values are of one type.
    Entries(&'static Type),
    /// Nothing: free-form JSON.
    Nothing,
}

/// How one key's value is merged.
#[derive(Clone, Copy)]
struct Strategy {
    /// The value, or the elements of the list, seen as a map.
    inner: Known,
    /// The list merges; otherwise it is replaced.
    merges: bool,
    /// The map is replaced.
    replaces: bool,
    /// Tells the list's elements apart; empty for lists of scalars.
    merge_key: &'static str,
}

/// Merges a patch into an object of a type. The object is of no use after an error: patch a copy.
pub fn strategic_merge_patch(
    ty: TypeId,
    object: &mut Value,
    patch: Value,
) -> Result<(), PatchError> {
    let (Value::Object(target), Value::Object(patch)) = (object, patch) else {
        return Err(PatchError::Malformed("invalid JSON document".to_owned()));
    };
    let known = known_type(ty);
    let merged = merge_map(std::mem::take(target), patch, known)?;
    *target = merged;
    Ok(())
}

fn known_type(ty: TypeId) -> Known {
    let def = schema().get(ty);
    match def.shape {
        Shape::Struct(_) => Known::Struct(def),
        Shape::Scalar(_) => Known::Nothing,
    }
}

fn known(ty: &'static Type) -> Known {
    match ty {
        Type::Ref(id) => known_type(*id),
        Type::Map(entry) => Known::Entries(entry),
        Type::List(item) => known(item),
        Type::Scalar(_) => Known::Nothing,
    }
}

impl Known {
    /// How the value of a key is merged. A key the schema does not know is an error, as upstream has it, where it
    /// meets a map or list that is there already.
    fn strategy(self, key: &str) -> Result<Strategy, PatchError> {
        let plain = |inner| Strategy {
            inner,
            merges: false,
            replaces: false,
            merge_key: "",
        };
        match self {
            Known::Nothing => Ok(plain(Known::Nothing)),
            Known::Entries(ty) => Ok(plain(known(ty))),
            Known::Struct(def) => {
                let field = def.field(key).ok_or_else(|| {
                    let (key, name) = (crate::gofmt::quote(key), def.short_name());
                    PatchError::Internal(format!(
                        "unable to find api field in struct {name} for the json field {key}"
                    ))
                })?;
                Ok(Strategy {
                    inner: known(&field.ty),
                    merges: field.patch.merge,
                    replaces: field.patch.replace,
                    merge_key: field.patch.merge_key.unwrap_or_default(),
                })
            }
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Known::Struct(_) => "struct",
            Known::Entries(_) => "map",
            Known::Nothing => "interface",
        }
    }
}

/// Merges a patch into a map.
pub(super) fn merge_map(
    mut target: Map<String, Value>,
    mut patch: Map<String, Value>,
    known: Known,
) -> Result<Map<String, Value>, PatchError> {
    if let Some(replaced) = map_directive(&mut patch)? {
        return Ok(replaced);
    }
    retain_keys(&mut target, &mut patch)?;
    merge_ordered_lists(&mut target, &mut patch, known)?;
    for (key, value) in patch {
        match key.strip_prefix(DELETE_FROM_LIST) {
            Some(list) => delete_from_list(&mut target, list, value)?,
            None => merge_entry(&mut target, key, value, known)?,
        }
    }
    Ok(target)
}

fn delete_from_list(
    target: &mut Map<String, Value>,
    list: &str,
    value: Value,
) -> Result<(), PatchError> {
    match (target.get_mut(list), value) {
        (_, Value::Null) => drop(target.remove(list)),
        (Some(Value::Array(items)), Value::Array(deleted)) => delete_scalars(items, &deleted)?,
        // Nothing to delete from, or something else is there: upstream leaves both alone.
        _ => {}
    }
    Ok(())
}

fn merge_entry(
    target: &mut Map<String, Value>,
    key: String,
    value: Value,
    known: Known,
) -> Result<(), PatchError> {
    if value.is_null() {
        target.remove(&key);
        return Ok(());
    }
    let merged = match (target.get_mut(&key), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            let strategy = known.strategy(&key)?;
            if strategy.replaces {
                Some(Value::Object(new))
            } else {
                let old = std::mem::take(old);
                Some(Value::Object(merge_map(old, new, strategy.inner)?))
            }
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            let strategy = known.strategy(&key)?;
            if strategy.merges {
                let old = std::mem::take(old);
                let merged = merge_list(old, new, strategy.merge_key, strategy.inner)?;
                Some(Value::Array(merged))
            } else {
                Some(Value::Array(new))
            }
        }
        (_, value) => plain(value),
    };
    match merged {
        Some(merged) => drop(target.insert(key, merged)),
        None => drop(target.remove(&key)),
    }
    Ok(())
}

/// Lists whose order the patch says. They are taken out of the patch.
fn merge_ordered_lists(
    target: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    known: Known,
) -> Result<(), PatchError> {
    let directives: Vec<String> = patch
        .keys()
        .filter(|key| key.starts_with(SET_ORDER))
        .cloned()
        .collect();
    for directive in directives {
        let key = directive.strip_prefix(SET_ORDER).ok_or_else(bad_order)?;
        let order = match patch.remove(&directive) {
            Some(Value::Array(order)) => order,
            Some(other) => return Err(PatchError::wrong_type("[]interface {}", &other)),
            None => continue,
        };
        let strategy = known.strategy(key)?;
        let list = |value: Option<Value>| match value {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(PatchError::wrong_type("[]interface {}", &other)),
        };
        let old = list(target.remove(key))?;
        let new = list(patch.remove(key))?;
        check_order(
            new.as_deref().unwrap_or_default(),
            &order,
            strategy.merge_key,
        )?;
        let before = old.clone().unwrap_or_default();
        let merged = match (old, new) {
            (None, None) => continue,
            (Some(old), None) => old,
            (None, Some(new)) => new.into_iter().filter_map(plain_with_nulls).collect(),
            (Some(old), Some(new)) if strategy.merges => {
                merge_list(old, new, strategy.merge_key, strategy.inner)?
            }
            (Some(_), Some(new)) => new,
        };
        let sorted = sort_by_order(merged, &order, &before, strategy.merge_key)?;
        target.insert(key.to_owned(), Value::Array(sorted));
    }
    Ok(())
}
