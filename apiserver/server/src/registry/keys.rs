//! Where objects are in the store: under the keys upstream uses.

use bytes::Bytes;
use mainstay_schema::Resource;

/// Keys of one server's store.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// What replaces the first segment of the table's prefixes, `/registry`.
    root: String,
}

/// The first segment of all prefixes in the resource table.
const TABLE_ROOT: &str = "/registry";

impl Keys {
    pub(crate) fn new(root: &str) -> Self {
        let root = root.trim_matches('/');
        Self {
            root: format!("/{root}"),
        }
    }

    /// What all keys of a resource begin with; ends in a slash.
    pub(crate) fn prefix(&self, resource: &Resource) -> String {
        let rest = resource
            .store_prefix
            .strip_prefix(TABLE_ROOT)
            .unwrap_or(&resource.store_prefix);
        format!("{}{rest}", self.root)
    }

    /// A key that is no object's.
    pub(crate) fn plain(&self, folder: &str, name: &str) -> Bytes {
        format!("{}/{folder}/{name}", self.root).into()
    }

    pub(crate) fn object(&self, resource: &Resource, namespace: &str, name: &str) -> Bytes {
        let prefix = self.prefix(resource);
        let key = match resource.namespaced {
            true => format!("{prefix}{namespace}/{name}"),
            false => format!("{prefix}{name}"),
        };
        key.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_upstreams() {
        let keys = Keys::new("/registry/");
        let cases = [
            ("", "v1", "pods", "/registry/pods/a/b"),
            ("", "v1", "services", "/registry/services/specs/a/b"),
            ("", "v1", "endpoints", "/registry/services/endpoints/a/b"),
            ("", "v1", "nodes", "/registry/minions/b"),
            ("apps", "v1", "deployments", "/registry/deployments/a/b"),
        ];
        for (group, version, plural, expected) in cases {
            let resource = mainstay_schema::resource(group, version, plural).unwrap();
            assert_eq!(keys.object(resource, "a", "b"), expected);
        }
        let other = Keys::new("x");
        let pods = mainstay_schema::resource("", "v1", "pods").unwrap();
        assert_eq!(other.object(pods, "a", "b"), "/x/pods/a/b");
    }
}
