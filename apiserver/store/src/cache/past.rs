//! Lists of past revisions that are still being paged through.

use super::ordered::Ordered;
use crate::limits::PAST_VIEWS_MAX;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// The past lists used last.
#[derive(Debug, Default)]
pub(crate) struct PastViews(Mutex<VecDeque<(i64, Ordered)>>);

impl PastViews {
    pub(crate) fn get(&self, revision: i64) -> Option<Ordered> {
        let mut kept = self.0.lock();
        let at = kept.iter().position(|(known, _)| *known == revision)?;
        let found = kept.remove(at)?;
        let objects = found.1.clone();
        kept.push_back(found);
        Some(objects)
    }

    pub(crate) fn put(&self, revision: i64, objects: Ordered) {
        let mut kept = self.0.lock();
        kept.retain(|(known, _)| *known != revision);
        if kept.len() == PAST_VIEWS_MAX {
            kept.pop_front();
        }
        kept.push_back((revision, objects));
    }

    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}
