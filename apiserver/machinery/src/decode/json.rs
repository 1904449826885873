//! JSON to a `Value`, noting keys that occur twice.

use super::error::DecodeError;
use super::syntax;
use super::trail::Trail;
use crate::limits::{DEPTH_MAX, STRICT_ERRORS_MAX};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// A document and the paths of keys that occur in it more than once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// The document; of two values for one key the last.
    pub value: Value,
    /// Paths in document order, each once, at most [`STRICT_ERRORS_MAX`].
    pub duplicates: Vec<String>,
}

/// Parses JSON and looks for duplicate keys. Depth is limited to [`DEPTH_MAX`]; bytes are the caller's to limit.
pub fn json(bytes: &[u8]) -> Result<Parsed, DecodeError> {
    let duplicates = RefCell::new(Vec::new());
    let seed = Seed {
        trail: &Trail::ROOT,
        duplicates: &duplicates,
        depth: 0,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = seed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|e| syntax::describe(bytes, &e))?;
    let duplicates = duplicates.into_inner();
    Ok(Parsed { value, duplicates })
}

/// Parses JSON without looking for duplicate keys, which is faster.
pub fn json_lenient(bytes: &[u8]) -> Result<Value, DecodeError> {
    serde_json::from_slice(bytes).map_err(|e| syntax::describe(bytes, &e))
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    trail: &'a Trail<'a>,
    duplicates: &'a RefCell<Vec<String>>,
    depth: usize,
}

impl Seed<'_> {
    fn note_duplicate(&self, key: &str) {
        let mut duplicates = self.duplicates.borrow_mut();
        if duplicates.len() >= STRICT_ERRORS_MAX {
            return;
        }
        let path = self.trail.field(key);
        if !duplicates.contains(&path) {
            duplicates.push(path);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let depth = deeper::<A::Error>(self.depth)?;
        loop {
            let trail = self.trail.index(list.len());
            let seed = Seed {
                trail: &trail,
                depth,
                ..self
            };
            match items.next_element_seed(seed)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let depth = deeper::<A::Error>(self.depth)?;
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                self.note_duplicate(&key);
            }
            let trail = self.trail.key(&key);
            let seed = Seed {
                trail: &trail,
                depth,
                ..self
            };
            let value = entries.next_value_seed(seed)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

fn deeper<E: serde::de::Error>(depth: usize) -> Result<usize, E> {
    if depth >= DEPTH_MAX {
        return Err(E::custom("exceeded max depth"));
    }
    Ok(depth + 1)
}
