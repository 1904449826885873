//! What a write must pass beside being valid by itself: rules that look at other objects.
//!
//! The order is upstream's. Lookups are answered by the watch caches, and by the store where a stale answer would be
//! wrong.

mod chain;
mod lifecycle;
mod limits;
mod lookup;
mod pods;
mod priority;
mod references;
mod resize;
mod security;
mod service_account;
mod storage;
mod tolerations;

use mainstay_auth::UserInfo;
use mainstay_schema::Resource;
use serde_json::Value;

pub(crate) use chain::{Admission, Claims};
pub(crate) use lookup::Lookup;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

/// A write on its way.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) operation: Operation,
    pub(crate) resource: &'static Resource,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: String,
    pub(crate) user: &'a UserInfo,
    pub(crate) dry_run: bool,
    pub(crate) old: Option<&'a Value>,
    /// What the client should know although it may go on.
    pub(crate) warnings: Vec<String>,
}

impl Attempt<'_> {
    /// Whether it is about objects of a resource themselves.
    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.subresource.is_empty()
            && self.resource.group == group
            && self.resource.plural == plural
    }
}
