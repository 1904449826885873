//! How rules of this crate name a kind.

use mainstay_schema::{Gvk, Resource};

/// Group, version and kind of an object, e.g. `apps`, `v1`, `Deployment`; the core group is "".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindRef<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
}

impl<'a> KindRef<'a> {
    pub const fn new(group: &'a str, version: &'a str, kind: &'a str) -> Self {
        Self {
            group,
            version,
            kind,
        }
    }

    /// Reads `apps/v1` and `Deployment`; the core group's API version is `v1` alone.
    #[must_use]
    pub fn parse(api_version: &'a str, kind: &'a str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self {
            group,
            version,
            kind,
        }
    }
}

impl From<&Resource> for KindRef<'static> {
    fn from(resource: &Resource) -> Self {
        KindRef::new(resource.group, resource.version, resource.kind)
    }
}

impl From<Gvk> for KindRef<'static> {
    fn from(gvk: Gvk) -> Self {
        KindRef::new(gvk.group, gvk.version, gvk.kind)
    }
}
