//! One object, as the cache sees it.

use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// An object at one revision.
pub struct Object {
    /// Its key in the store.
    pub key: Bytes,
    /// Revision of the write that made it so: its `resourceVersion`.
    pub revision: i64,
    /// Its canonical bytes, without the revision.
    pub value: Bytes,
    /// What the decoder found in it.
    pub attributes: Attributes,
}

/// What selectors and indexes need to know of an object, so that neither parses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    labels: Box<[(Box<str>, Box<str>)]>,
    fields: Box<[(&'static str, Box<str>)]>,
    index: Option<Box<str>>,
}

/// Turns a stored value into what is served and what is known of it: `(key, value)` to canonical bytes and attributes.
///
/// Called once per change, outside of any lock. `None` means that the value is not an object of the resource; it is
/// treated as if the key did not exist.
pub type Decode = Arc<dyn Fn(&Bytes, &Bytes) -> Option<(Bytes, Attributes)> + Send + Sync>;

impl Attributes {
    /// Attributes of an object; `index` is the value of the resource's one indexed field.
    pub fn new(
        labels: impl IntoIterator<Item = (impl Into<Box<str>>, impl Into<Box<str>>)>,
        fields: impl IntoIterator<Item = (&'static str, impl Into<Box<str>>)>,
        index: Option<&str>,
    ) -> Self {
        let mut labels: Box<[_]> = labels
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        labels.sort_unstable();
        Self {
            labels,
            fields: fields.into_iter().map(|(k, v)| (k, v.into())).collect(),
            index: index.map(Into::into),
        }
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        Some(&self.labels[at].1)
    }

    /// All labels, sorted by key.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(key, value)| (&**key, &**value))
    }

    /// The value of a selectable field.
    pub fn field(&self, path: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(p, _)| *p == path)?;
        Some(&found.1)
    }

    /// The value of the indexed field.
    pub fn index(&self) -> Option<&str> {
        self.index.as_deref()
    }
}

impl Object {
    /// Bytes of the key and the value.
    pub fn size(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

// Objects may be secrets: neither their bytes nor their labels reach a log.
impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("key", &self.key)
            .field("revision", &self.revision)
            .field("bytes", &self.value.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Attributes;

    #[test]
    fn labels_and_fields_are_found() {
        let attributes = Attributes::new(
            [("tier", "web"), ("app", "shop")],
            [("spec.nodeName", "n1")],
            Some("n1"),
        );
        assert_eq!(attributes.label("app"), Some("shop"));
        assert_eq!(attributes.label("tier"), Some("web"));
        assert_eq!(attributes.label("none"), None);
        assert_eq!(attributes.field("spec.nodeName"), Some("n1"));
        assert_eq!(attributes.index(), Some("n1"));
        let all: Vec<_> = attributes.labels().collect();
        assert_eq!(all, [("app", "shop"), ("tier", "web")]);
    }
}
