//! What a revision did to one key.

use super::state::Stored;
use crate::history::{Blob, KeyValue};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: Blob,
    pub(crate) before: Option<Stored>,
    /// None is a deletion.
    pub(crate) after: Option<Stored>,
}

impl Change {
    pub(crate) fn pair_before(&self) -> Option<KeyValue> {
        self.before.as_ref().map(|stored| stored.pair(&self.key))
    }

    pub(crate) fn pair_after(&self) -> Option<KeyValue> {
        self.after.as_ref().map(|stored| stored.pair(&self.key))
    }
}
