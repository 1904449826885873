//! JSON pointers (RFC 6901) that change what they point to.

use serde_json::Value;

/// A pointer's parts, unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    parts: Vec<String>,
}

impl Pointer {
    /// Parses `/a/b~1c/0`; the empty text is the whole document. None where it does not begin with a slash.
    pub fn parse(text: &str) -> Option<Pointer> {
        let parts = match text.strip_prefix('/') {
            Some(rest) => rest
                .split('/')
                .map(|part| part.replace("~1", "/").replace("~0", "~"))
                .collect(),
            None if text.is_empty() => Vec::new(),
            None => return None,
        };
        Some(Pointer {
            text: text.to_owned(),
            parts,
        })
    }

    /// The pointer as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn parts(&self) -> &[String] {
        &self.parts
    }

    /// Whether `other` is inside what this points to.
    pub(super) fn is_proper_prefix_of(&self, other: &Pointer) -> bool {
        other.parts.len() > self.parts.len() && other.parts.starts_with(&self.parts)
    }

    pub(super) fn get<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        self.parts
            .iter()
            .try_fold(document, |value, part| match value {
                Value::Object(map) => map.get(part),
                Value::Array(items) => items.get(index(part, items.len())?),
                _ => None,
            })
    }

    /// The container of what this points to and the last part; None for the whole document or where there is none.
    pub(super) fn parent<'v>(&self, document: &'v mut Value) -> Option<(&'v mut Value, &str)> {
        let (last, parents) = self.parts.split_last()?;
        let parent = parents
            .iter()
            .try_fold(document, |value, part| match value {
                Value::Object(map) => map.get_mut(part),
                Value::Array(items) => {
                    let at = index(part, items.len())?;
                    items.get_mut(at)
                }
                _ => None,
            })?;
        Some((parent, last))
    }
}

/// An index into a list of a length. Negative ones count from the end, as upstream's library allows.
pub(super) fn index(part: &str, length: usize) -> Option<usize> {
    if let Some(back) = part.strip_prefix('-') {
        let back: usize = back.parse().ok()?;
        return length.checked_sub(back).filter(|_| back > 0);
    }
    let canonical = part == "0" || !part.starts_with(['0', '+']);
    part.parse().ok().filter(|_| canonical)
}
