//! Objects as values, for those that are looked at again and again: namespaces, service accounts, classes.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use mainstay_apistore::Object;
use parking_lot::Mutex;
use serde_json::Value;

use super::codec;
use super::write::with_revision;
use crate::limits::{PARSED_BYTES_MAX, PARSED_OBJECT_BYTES_MAX};

/// Values of cached objects, made once each. Bounded: of two generations the older one is dropped when the younger one
/// is full, and what is asked for moves to the younger one.
#[derive(Debug, Default)]
pub(crate) struct Parsed(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Bytes, Entry>,
    old: HashMap<Bytes, Entry>,
    /// Bytes of JSON in the younger generation.
    young_bytes: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    /// The bytes it was made of. As long as they are here, no other object can be at their address.
    made_of: Bytes,
    value: Arc<Value>,
}

impl Parsed {
    /// The object with its revision.
    pub(crate) fn of(&self, object: &Object) -> Option<Arc<Value>> {
        let is_of = |entry: &Entry| {
            entry.made_of.as_ptr() == object.value.as_ptr()
                && entry.made_of.len() == object.value.len()
        };
        {
            let mut all = self.0.lock();
            if let Some(entry) = all.young.get(&object.key).filter(|entry| is_of(entry)) {
                return Some(Arc::clone(&entry.value));
            }
            if let Some(entry) = all.old.remove(&object.key).filter(is_of) {
                let value = Arc::clone(&entry.value);
                all.put(object.key.clone(), entry);
                return Some(value);
            }
        }
        let value = Arc::new(parse(object)?);
        if object.value.len() <= PARSED_OBJECT_BYTES_MAX {
            let entry = Entry {
                made_of: object.value.clone(),
                value: Arc::clone(&value),
            };
            self.0.lock().put(object.key.clone(), entry);
        }
        Some(value)
    }
}

impl Generations {
    fn put(&mut self, key: Bytes, entry: Entry) {
        let size = entry.made_of.len();
        if self.young_bytes + size > PARSED_BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        let before = self.young.insert(key, entry);
        self.young_bytes += size;
        self.young_bytes -= before.map_or(0, |before| before.made_of.len());
    }
}

/// An object as a value with its revision.
pub(crate) fn parse(object: &Object) -> Option<Value> {
    let value = codec::parse(&object.value)?;
    Some(with_revision(value, object.revision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_apistore::Attributes;

    fn object(name: usize, revision: i64, padding: usize) -> Object {
        let value = format!(
            r#"{{"kind":"Namespace","apiVersion":"v1","metadata":{{"name":"n{name}"}},"x":"{}"}}"#,
            "x".repeat(padding)
        );
        Object {
            key: format!("/registry/namespaces/n{name}").into(),
            revision,
            value: value.into(),
            attributes: Attributes::default(),
        }
    }

    #[test]
    fn an_object_is_parsed_once_until_it_changes() {
        let parsed = Parsed::default();
        let first = object(1, 7, 0);
        let value = parsed.of(&first).unwrap();
        assert_eq!(value["metadata"]["resourceVersion"], "7");
        assert!(Arc::ptr_eq(&value, &parsed.of(&first).unwrap()));
        let changed = parsed.of(&object(1, 8, 0)).unwrap();
        assert_eq!(changed["metadata"]["resourceVersion"], "8");
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_used_stays() {
        let parsed = Parsed::default();
        let used = object(0, 1, 0);
        let value = parsed.of(&used).unwrap();
        let size = 60_000;
        for name in 1..=4 * PARSED_BYTES_MAX / size {
            parsed.of(&object(name, 1, size)).unwrap();
            assert!(Arc::ptr_eq(&value, &parsed.of(&used).unwrap()));
        }
        let all = parsed.0.lock();
        let bytes = |entries: &HashMap<Bytes, Entry>| -> usize {
            entries.values().map(|entry| entry.made_of.len()).sum()
        };
        assert_eq!(bytes(&all.young), all.young_bytes);
        assert!(bytes(&all.young) + bytes(&all.old) <= 2 * PARSED_BYTES_MAX);
        drop(all);
        let large = object(9, 1, PARSED_OBJECT_BYTES_MAX);
        let value = parsed.of(&large).unwrap();
        assert!(!Arc::ptr_eq(&value, &parsed.of(&large).unwrap()));
    }
}
