//! The matches of one range that some of its watchers have not been sent yet.

use std::collections::VecDeque;

use crate::ring::{Position, Ring};

/// One matching event still in the ring, or that was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Match {
    pub(crate) revision: i64,
    pub(crate) at: Position,
}

/// Matches in order of revision; the first is kept in place because one is what there usually is.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    first: Option<Match>,
    #[expect(
        clippy::box_collection,
        reason = "an idle group is small, and nearly all are idle"
    )]
    more: Option<Box<VecDeque<Match>>>,
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.as_ref().map_or(0, |m| m.len())
    }

    pub(crate) fn push(&mut self, found: Match) {
        if self.first.is_none() {
            self.first = Some(found);
        } else {
            self.more.get_or_insert_default().push_back(found);
        }
    }

    /// Removes the oldest.
    pub(crate) fn pop(&mut self) -> Option<Match> {
        let next = self.more.as_mut().and_then(|m| m.pop_front());
        std::mem::replace(&mut self.first, next)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Removes matches that the ring no longer holds. Returns how many, and the revision of the last of them.
    pub(crate) fn drop_evicted(&mut self, ring: &Ring) -> (usize, i64) {
        let (mut count, mut last) = (0, 0);
        while let Some(first) = self.first
            && ring.get(first.at).is_none()
        {
            self.pop();
            count += 1;
            last = first.revision;
        }
        (count, last)
    }

    /// The matches from `revision` on.
    pub(crate) fn from(&self, revision: i64) -> impl Iterator<Item = Match> {
        let first = self.first.filter(|m| m.revision >= revision);
        let more = self.more.as_ref().map(|more| {
            let at = more.partition_point(|m| m.revision < revision);
            more.range(at..).copied()
        });
        first.into_iter().chain(more.into_iter().flatten())
    }
}
