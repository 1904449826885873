//! Reading and writing places of a JSON object by dotted paths. `null` counts as absent, as in Go.

use serde_json::{Map, Value};

static NONE: [Value; 0] = [];

/// The value at a dotted path of plain names, unless absent or null.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut here = value;
    for name in path.split('.').filter(|name| !name.is_empty()) {
        here = here.as_object()?.get(name)?;
    }
    (!here.is_null()).then_some(here)
}

pub(crate) fn has(value: &Value, path: &str) -> bool {
    at(value, path).is_some()
}

/// The string at a path; empty when absent or of another type.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or("")
}

/// The integer at a path, if there is one.
pub(crate) fn number(value: &Value, path: &str) -> Option<i64> {
    at(value, path).and_then(Value::as_i64)
}

/// The integer at a path; 0 when absent.
pub(crate) fn int(value: &Value, path: &str) -> i64 {
    number(value, path).unwrap_or(0)
}

pub(crate) fn flag(value: &Value, path: &str) -> bool {
    at(value, path).and_then(Value::as_bool).unwrap_or(false)
}

/// The items of the list at a path; none when absent.
pub(crate) fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path)
        .and_then(Value::as_array)
        .map_or(&NONE, Vec::as_slice)
}

/// The object at a path, if there is one.
pub(crate) fn map<'a>(value: &'a Value, path: &str) -> Option<&'a Map<String, Value>> {
    at(value, path).and_then(Value::as_object)
}

/// The entries of the object at a path; none when absent.
pub(crate) fn entries<'a>(
    value: &'a Value,
    path: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    map(value, path).into_iter().flatten()
}

/// One entry of the object at `path`, whose key may hold dots (labels, annotations, resources).
pub(crate) fn entry<'a>(value: &'a Value, path: &str, key: &str) -> Option<&'a Value> {
    map(value, path)?.get(key).filter(|value| !value.is_null())
}

/// One annotation or label: the string under `key` of the object at `path`.
pub(crate) fn entry_text<'a>(value: &'a Value, path: &str, key: &str) -> &'a str {
    entry(value, path, key)
        .and_then(Value::as_str)
        .unwrap_or("")
}

/// Whether the place is absent, null, an empty string, list or object, zero or false.
pub(crate) fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::Bool(set)) => !set,
    }
}

/// The object at a path, made where absent. A value of another type there is left alone: the shape
/// of an object is checked before, so this happens only to objects no rule is for.
pub(crate) fn ensure<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Map<String, Value>> {
    let mut here = value;
    for name in path.split('.').filter(|name| !name.is_empty()) {
        let next = here.as_object_mut()?.entry(name).or_insert(Value::Null);
        if next.is_null() {
            *next = Value::Object(Map::new());
        }
        here = next;
    }
    here.as_object_mut()
}

/// The value at a path for change, unless absent or null.
pub(crate) fn at_mut<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut here = value;
    for name in path.split('.').filter(|name| !name.is_empty()) {
        here = here.as_object_mut()?.get_mut(name)?;
    }
    (!here.is_null()).then_some(here)
}

fn parent(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// Sets the value at a path, making the objects above it.
pub(crate) fn set(value: &mut Value, path: &str, new: impl Into<Value>) {
    let (above, name) = parent(path);
    if let Some(fields) = ensure(value, above) {
        fields.insert(name.to_owned(), new.into());
    }
}

/// Removes the value at a path and returns it.
pub(crate) fn take(value: &mut Value, path: &str) -> Option<Value> {
    let (above, name) = parent(path);
    at_mut(value, above)?.as_object_mut()?.remove(name)
}

/// Makes the place of `new` equal to that of `old`, absent where it is absent there.
pub(crate) fn carry(new: &mut Value, old: &Value, path: &str) {
    match at(old, path) {
        Some(kept) => set(new, path, kept.clone()),
        None => {
            take(new, path);
        }
    }
}

/// Whether two places are equal as Go's semantic equality sees them: absent, null and empty are one.
pub(crate) fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.iter().all(|(key, value)| same(Some(value), b.get(key)))
                && b.iter()
                    .all(|(key, value)| a.contains_key(key) || same(None, Some(value)))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b)))
        }
        (Some(Value::Bool(_) | Value::Number(_)), None)
        | (None, Some(Value::Bool(_) | Value::Number(_))) => false,
        (a, b) => a == b || (is_empty(a) && is_empty(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_read_and_written_by_path() {
        let mut object = json!({"spec": {"a": null, "n": 3, "tags": {"x.y/z": "v"}}});
        assert!(!has(&object, "spec.a"));
        assert_eq!(int(&object, "spec.n"), 3);
        assert_eq!(entry_text(&object, "spec.tags", "x.y/z"), "v");
        set(&mut object, "spec.a.b", "c");
        assert_eq!(text(&object, "spec.a.b"), "c");
        take(&mut object, "spec.a");
        assert!(!has(&object, "spec.a"));
    }

    #[test]
    fn absent_null_and_empty_are_the_same() {
        let a = json!({"spec": {"list": [], "map": {}, "text": "", "n": 0}});
        let b = json!({"spec": {"gone": null, "n": 0}});
        assert!(same(Some(&a), Some(&b)));
        assert!(
            !same(Some(&json!({"n": 0})), Some(&json!({}))),
            "a pointer to zero is not nil"
        );
    }
}
