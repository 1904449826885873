//! Which part of a resource a list or a watch is about.

use super::object::Object;
use bytes::Bytes;

/// A part of a resource that the cache finds without looking at the rest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All objects.
    All,
    /// The objects of one namespace: the first part of the key behind the resource's prefix.
    Namespace(Bytes),
    /// The objects with this value of the indexed field, such as the pods of one node.
    Index(Box<str>),
    /// The one object with this full key.
    Key(Bytes),
}

impl Scope {
    /// The scope of one namespace.
    pub fn namespace(name: &str) -> Self {
        Self::Namespace(Bytes::copy_from_slice(name.as_bytes()))
    }

    /// The scope of one value of the indexed field.
    pub fn index(value: &str) -> Self {
        Self::Index(value.into())
    }

    /// What all keys of the scope begin with; others may begin so too.
    pub(crate) fn prefix(&self, resource: &Bytes) -> Bytes {
        match self {
            Self::All | Self::Index(_) => resource.clone(),
            Self::Key(key) => key.clone(),
            Self::Namespace(name) => [resource, name, b"/".as_slice()].concat().into(),
        }
    }

    /// Whether an object lies in the scope; `prefix_len` is the length of the resource's prefix.
    pub(crate) fn contains(&self, object: &Object, prefix_len: usize) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(name) => namespace_of(&object.key, prefix_len) == Some(name),
            Self::Index(value) => object.attributes.index() == Some(value),
            Self::Key(key) => object.key == *key,
        }
    }
}

/// The namespace in a key: what lies between the resource's prefix and the next slash.
pub(crate) fn namespace_of(key: &[u8], prefix_len: usize) -> Option<&[u8]> {
    let rest = key.get(prefix_len..)?;
    let slash = rest.iter().position(|&byte| byte == b'/')?;
    Some(&rest[..slash])
}

#[cfg(test)]
mod tests {
    use super::namespace_of;

    #[test]
    fn the_namespace_lies_between_two_slashes() {
        let prefix = "/registry/pods/".len();
        for (key, namespace) in [
            ("/registry/pods/default/web-1", Some("default")),
            ("/registry/pods/lonely", None),
            ("/registry", None),
        ] {
            let found = namespace_of(key.as_bytes(), prefix);
            assert_eq!(found, namespace.map(str::as_bytes), "{key}");
        }
    }
}
