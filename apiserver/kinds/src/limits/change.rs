//! A request that creates or changes an object, as the checks see it.

use crate::value::has;
use mainstay_schema::Resource;
use serde_json::Value;

/// What a request would store.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    pub resource: &'a Resource,
    /// Empty for the object itself, else e.g. `status`.
    pub subresource: &'a str,
    pub new: &'a Value,
    /// What is stored now; `None` for a create.
    pub old: Option<&'a Value>,
}

impl Change<'_> {
    /// Whether the resource is of the core group and has this plural.
    pub(super) fn is_of(&self, plural: &str) -> bool {
        self.resource.group.is_empty() && self.resource.plural == plural
    }

    pub(super) fn is_update(&self) -> bool {
        self.old.is_some()
    }

    /// Whether the stored object is marked for deletion already.
    pub(super) fn is_of_deleted(&self) -> bool {
        self.old
            .is_some_and(|old| has(old, "metadata.deletionTimestamp"))
    }
}
