//! What has changed lately, for those who keep sums over many nodes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::state::NodeIndex;
use crate::limits::CHANGES_REMEMBERED_MAX;
use crate::pod::PodInfo;

#[derive(Clone, Debug)]
pub(crate) enum Entry {
    PodAdded(NodeIndex, Arc<PodInfo>),
    PodRemoved(NodeIndex, Arc<PodInfo>),
    /// The node came, went, or has other labels or taints.
    Node(NodeIndex),
}

/// A log of bounded length; entries are numbered from zero.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    first: u64,
    entries: VecDeque<Entry>,
}

impl Changes {
    pub(super) fn push(&mut self, entry: Entry) {
        if self.entries.len() >= CHANGES_REMEMBERED_MAX {
            self.entries.pop_front();
            self.first += 1;
        }
        self.entries.push_back(entry);
    }

    /// The number of the next entry.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Entries from `number` on; `None` if some of them are forgotten.
    pub(crate) fn since(&self, number: u64) -> Option<impl Iterator<Item = &Entry>> {
        let skip = usize::try_from(number.checked_sub(self.first)?).ok()?;
        Some(self.entries.range(skip.min(self.entries.len())..))
    }
}
