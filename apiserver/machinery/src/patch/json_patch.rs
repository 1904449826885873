//! RFC 6902.

use super::error::PatchError;
use super::pointer::{Pointer, index};
use crate::limits::{JSON_PATCH_COPY_BYTES_MAX, JSON_PATCH_OPERATIONS_MAX};
use serde_json::{Map, Value};

/// One step of a JSON patch.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Sets a map's entry or inserts into a list; `-` appends.
    Add {
        /// Where.
        path: Pointer,
        /// What.
        value: Value,
    },
    /// Removes what is there.
    Remove {
        /// Where.
        path: Pointer,
    },
    /// Replaces what is there.
    Replace {
        /// Where.
        path: Pointer,
        /// By what.
        value: Value,
    },
    /// Takes a value from one place to another.
    Move {
        /// Where it is.
        from: Pointer,
        /// Where it goes.
        path: Pointer,
    },
    /// Copies a value from one place to another.
    Copy {
        /// Where it is.
        from: Pointer,
        /// Where it goes.
        path: Pointer,
    },
    /// Fails unless the value is this.
    Test {
        /// Where.
        path: Pointer,
        /// What must be there.
        value: Value,
    },
}

/// Reads a patch; at most [`JSON_PATCH_OPERATIONS_MAX`] operations.
pub fn parse_json_patch(patch: Value) -> Result<Vec<Operation>, PatchError> {
    let Value::Array(items) = patch else {
        let found = match patch {
            Value::Object(_) => "object",
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            Value::Null | Value::Array(_) => return Ok(Vec::new()),
        };
        return Err(PatchError::Malformed(format!(
            "json: cannot unmarshal {found} into Go value of type jsonpatch.Patch"
        )));
    };
    if items.len() > JSON_PATCH_OPERATIONS_MAX {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {JSON_PATCH_OPERATIONS_MAX}, got {}",
            items.len()
        )));
    }
    items.into_iter().map(parse_operation).collect()
}

fn parse_operation(item: Value) -> Result<Operation, PatchError> {
    let Value::Object(mut map) = item else {
        let found = crate::gofmt::type_name(&item);
        return Err(PatchError::Malformed(format!(
            "json: cannot unmarshal {found} into Go value of type jsonpatch.Operation"
        )));
    };
    let name = map
        .get("op")
        .and_then(Value::as_str)
        .unwrap_or("unknown")
        .to_owned();
    let path = |map: &Map<String, Value>, field: &str| pointer(map, &name, field);
    let value = |map: &mut Map<String, Value>| {
        // As upstream's library has it, a value that is not there is null.
        map.remove("value").unwrap_or_default()
    };
    Ok(match name.as_str() {
        "add" => Operation::Add {
            path: path(&map, "path")?,
            value: value(&mut map),
        },
        "remove" => Operation::Remove {
            path: path(&map, "path")?,
        },
        "replace" => Operation::Replace {
            path: path(&map, "path")?,
            value: value(&mut map),
        },
        "move" => Operation::Move {
            from: path(&map, "from")?,
            path: path(&map, "path")?,
        },
        "copy" => Operation::Copy {
            from: path(&map, "from")?,
            path: path(&map, "path")?,
        },
        // Upstream takes a missing value for null.
        "test" => Operation::Test {
            path: path(&map, "path")?,
            value: map.remove("value").unwrap_or(Value::Null),
        },
        other => {
            return Err(PatchError::Unprocessable(format!(
                "Unexpected kind: {other}"
            )));
        }
    })
}

fn pointer(map: &Map<String, Value>, name: &str, field: &str) -> Result<Pointer, PatchError> {
    let text = map.get(field).and_then(Value::as_str).ok_or_else(|| {
        PatchError::Unprocessable(format!(
            "{name} operation failed to decode {field}: missing value"
        ))
    })?;
    Pointer::parse(text).ok_or_else(|| {
        PatchError::Unprocessable(format!(
            "{name} operation does not apply: doc is missing path: {text:?}: missing value"
        ))
    })
}

/// Applies operations in order. On an error the document is left half patched: patch a copy.
pub fn apply_json_patch(document: &mut Value, patch: Vec<Operation>) -> Result<(), PatchError> {
    let mut copied_bytes = 0;
    for operation in patch {
        match operation {
            Operation::Add { path, value } => add(document, &path, value, "add")?,
            Operation::Remove { path } => drop(remove(document, &path, "remove")?),
            Operation::Replace { path, value } => replace(document, &path, value)?,
            Operation::Move { from, path } => {
                if from.is_proper_prefix_of(&path) {
                    return Err(does_not_apply(
                        "move",
                        &path,
                        "a value cannot be moved into itself",
                    ));
                }
                let value = remove(document, &from, "move")?;
                add(document, &path, value, "move")?;
            }
            Operation::Copy { from, path } => {
                let value = from
                    .get(document)
                    .ok_or_else(|| missing("copy", "from path", &from))?
                    .clone();
                copied_bytes += size(&value);
                if copied_bytes > JSON_PATCH_COPY_BYTES_MAX {
                    return Err(PatchError::TooLarge(format!(
                        "Unable to complete the copy, the accumulated size increase of copy is {copied_bytes}, exceeding the limit {JSON_PATCH_COPY_BYTES_MAX}"
                    )));
                }
                add(document, &path, value, "copy")?;
            }
            Operation::Test { path, value } => test(document, &path, &value)?,
        }
    }
    Ok(())
}

fn missing(operation: &str, what: &str, path: &Pointer) -> PatchError {
    PatchError::Unprocessable(format!(
        "{operation} operation does not apply: doc is missing {what}: {}: missing value",
        path.text()
    ))
}

fn does_not_apply(operation: &str, path: &Pointer, why: &str) -> PatchError {
    PatchError::Unprocessable(format!(
        "{operation} operation does not apply: {}: {why}",
        path.text()
    ))
}

fn add(
    document: &mut Value,
    path: &Pointer,
    value: Value,
    operation: &str,
) -> Result<(), PatchError> {
    if path.parts().is_empty() {
        *document = value;
        return Ok(());
    }
    let (parent, last) = path
        .parent(document)
        .ok_or_else(|| missing(operation, "path", path))?;
    match parent {
        Value::Object(map) => {
            map.insert(last.to_owned(), value);
            Ok(())
        }
        Value::Array(items) => {
            // A negative index counts from the end of the list as it will be.
            let at = if last == "-" {
                Some(items.len())
            } else {
                index(last, items.len() + 1)
            };
            let at = at.filter(|at| *at <= items.len()).ok_or_else(|| {
                does_not_apply(
                    operation,
                    path,
                    "Unable to access invalid index: invalid index referenced",
                )
            })?;
            items.insert(at, value);
            Ok(())
        }
        _ => Err(missing(operation, "path", path)),
    }
}

fn remove(document: &mut Value, path: &Pointer, operation: &str) -> Result<Value, PatchError> {
    let (parent, last) = path
        .parent(document)
        .ok_or_else(|| missing(operation, "path", path))?;
    match parent {
        Value::Object(map) => map.remove(last).ok_or_else(|| {
            PatchError::Unprocessable(format!(
                "error in {operation} for path: '{}': Unable to remove nonexistent key: {last}: missing value",
                path.text()
            ))
        }),
        Value::Array(items) => match index(last, items.len()) {
            Some(at) if at < items.len() => Ok(items.remove(at)),
            _ => Err(does_not_apply(operation, path, "Unable to access invalid index: invalid index referenced")),
        },
        _ => Err(missing(operation, "path", path)),
    }
}

fn replace(document: &mut Value, path: &Pointer, value: Value) -> Result<(), PatchError> {
    if path.parts().is_empty() {
        *document = value;
        return Ok(());
    }
    let (parent, last) = path
        .parent(document)
        .ok_or_else(|| missing("replace", "path", path))?;
    let slot = match parent {
        Value::Object(map) => map.get_mut(last),
        Value::Array(items) => index(last, items.len()).and_then(|at| items.get_mut(at)),
        _ => None,
    };
    *slot.ok_or_else(|| missing("replace", "key", path))? = value;
    Ok(())
}

fn test(document: &Value, path: &Pointer, expected: &Value) -> Result<(), PatchError> {
    let found = path.get(document).unwrap_or(&Value::Null);
    if equal(found, expected) {
        return Ok(());
    }
    Err(PatchError::Unprocessable(format!(
        "testing value {} failed: test failed",
        path.text()
    )))
}

/// Equality of JSON: numbers by value.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// About the bytes a value takes as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| size(item) + 1).sum::<usize>(),
        Value::Object(map) => {
            2 + map
                .iter()
                .map(|(key, item)| key.len() + size(item) + 4)
                .sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 5,
    }
}
