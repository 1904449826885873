//! The order in which a document names what is wrong with it: Go's decoder reports fields as it meets them, while our
//! maps are sorted. Documents are read once more only when there is more than one such field.

use super::trail::Trail;
use crate::gofmt::quote;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Sorts messages such as `unknown field "a.b"` as the document's keys come. What is not found stays behind.
pub(super) fn sort_as_in(bytes: &[u8], messages: &mut [String]) {
    if messages.len() < 2 {
        return;
    }
    let found = RefCell::new(Found {
        wanted: messages.iter().cloned().collect(),
        ..Found::default()
    });
    let walk = Walk {
        trail: &Trail::ROOT,
        found: &found,
    };
    // The document was parsed before; what cannot be read now stays in its order.
    let _read = walk.deserialize(&mut serde_json::Deserializer::from_slice(bytes));
    let places = found.into_inner().places;
    messages.sort_by_key(|message| places.get(message).copied().unwrap_or(usize::MAX));
}

#[derive(Default)]
struct Found {
    wanted: HashSet<String>,
    places: HashMap<String, usize>,
}

impl Found {
    fn note(&mut self, message: String) {
        if self.wanted.contains(&message) && !self.places.contains_key(&message) {
            self.places.insert(message, self.places.len());
        }
    }

    /// Whether a message may be about a key; cheaper than to write its path.
    fn may_have(&self, key: &str) -> bool {
        let mut wanted = self.wanted.iter();
        wanted.any(|message| {
            let path = message.strip_suffix('"');
            path.is_some_and(|path| path.ends_with(key))
        })
    }
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    trail: &'a Trail<'a>,
    found: &'a RefCell<Found>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for at in 0.. {
            let trail = self.trail.index(at);
            let inner = Walk {
                trail: &trail,
                ..self
            };
            if items.next_element_seed(inner)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            let is_new = seen.insert(key.clone());
            if self.found.borrow().may_have(&key) {
                let path = quote(&self.trail.field(&key));
                let mut found = self.found.borrow_mut();
                found.note(format!("unknown field {path}"));
                if !is_new {
                    found.note(format!("duplicate field {path}"));
                }
            }
            let trail = self.trail.key(&key);
            let inner = Walk {
                trail: &trail,
                ..self
            };
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::sort_as_in;

    #[test]
    fn fields_were_reported_by_name_instead_of_by_place() {
        let cases = [
            (
                r#"{"metadata":{"foo":1},"bar":2,"Data":3}"#,
                [
                    r#"unknown field "Data""#,
                    r#"unknown field "bar""#,
                    r#"unknown field "metadata.foo""#,
                ],
                [
                    r#"unknown field "metadata.foo""#,
                    r#"unknown field "bar""#,
                    r#"unknown field "Data""#,
                ],
            ),
            (
                r#"{"b":[{"x":1},{"x":1,"a":2,"a":3}],"z":0,"k":0}"#,
                [
                    r#"duplicate field "b[1].a""#,
                    r#"unknown field "z""#,
                    r#"unknown field "b[0].x""#,
                ],
                [
                    r#"unknown field "b[0].x""#,
                    r#"duplicate field "b[1].a""#,
                    r#"unknown field "z""#,
                ],
            ),
        ];
        for (document, before, after) in cases {
            let mut messages = before.map(str::to_owned);
            sort_as_in(document.as_bytes(), &mut messages);
            assert_eq!(messages, after, "{document}");
        }
    }
}
