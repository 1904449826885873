//! A few members of an object, read without making the rest of it.

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Which members are read: paths of names. Where a path meets a list, it goes on in every item.
///
/// Reading costs about as much as finding the ends of strings; what is not named is checked for being JSON only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Everything from here on.
    whole: bool,
    members: Vec<(Box<str>, Outline)>,
}

impl Outline {
    /// The members at these paths (`metadata.labels`), each with all that is below.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut outline = Self::default();
        for path in paths {
            outline.add(path);
        }
        outline
    }

    fn add(&mut self, path: &str) {
        let mut here = self;
        for name in path.split('.') {
            let found = here.members.iter().position(|(known, _)| **known == *name);
            let at = found.unwrap_or_else(|| {
                here.members.push((name.into(), Self::default()));
                here.members.len() - 1
            });
            here = &mut here.members[at].1;
        }
        here.whole = true;
    }

    fn member(&self, name: &str) -> Option<&(Box<str>, Self)> {
        self.members.iter().find(|(known, _)| **known == *name)
    }

    /// The named members of a document. An error if it is not JSON.
    pub fn read(&self, bytes: &[u8]) -> Result<Value, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let value = self.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for &Outline {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.whole {
            true => Value::deserialize(deserializer),
            false => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for &Outline {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut found = Map::new();
        while let Some(member) = map.next_key_seed(Key(self))? {
            match member {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some((name, outline)) => {
                    let value = map.next_value_seed(outline)?;
                    found.insert(name.to_string(), value);
                }
            }
        }
        Ok(Value::Object(found))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            found.push(item);
        }
        Ok(Value::Array(found))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// Reads a name and says whether it is wanted.
struct Key<'a>(&'a Outline);

impl<'de, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = Option<(&'a str, &'a Outline)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = Option<(&'a str, &'a Outline)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let member = self.0.member(name);
        Ok(member.map(|(name, outline)| (&**name, outline)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn named_members_are_read_and_others_are_not() {
        let object = json!({
            "kind": "Pod",
            "metadata": {"name": "a", "labels": {"app": "b", "x.y/z": "c"}, "uid": "d"},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "env": [{"name": "E"}]}, {"name": "d"}]},
            "status": null,
        });
        let text = object.to_string();
        let cases = [
            (
                vec!["metadata.labels"],
                json!({"metadata": {"labels": {"app": "b", "x.y/z": "c"}}}),
            ),
            (
                vec!["metadata.name", "spec.nodeName", "spec.nothing"],
                json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n"}}),
            ),
            (
                vec!["spec.containers.env"],
                json!({"spec": {"containers": [{"env": [{"name": "E"}]}, {}]}}),
            ),
            (
                vec!["status.phase", "kind"],
                json!({"status": null, "kind": "Pod"}),
            ),
            (
                vec!["metadata", "metadata.name"],
                json!({"metadata": object["metadata"]}),
            ),
        ];
        for (paths, want) in cases {
            let found = Outline::new(paths.clone()).read(text.as_bytes()).unwrap();
            assert_eq!(found, want, "{paths:?}");
        }
    }

    #[test]
    fn what_is_no_json_is_an_error_wherever_it_is() {
        let outline = Outline::new(["a.b"]);
        for text in ["", "{", r#"{"x":{"y":}}"#, r#"{"a":1} x"#, r#"{"z":"\q"}"#] {
            assert!(outline.read(text.as_bytes()).is_err(), "{text}");
        }
        let deep = "[".repeat(10_000);
        assert!(outline.read(deep.as_bytes()).is_err());
        let deep = format!("{{\"a\":{deep}");
        assert!(outline.read(deep.as_bytes()).is_err());
    }
}
