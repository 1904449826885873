//! Lists of past revisions that are still being paged through.

use super::ordered::Ordered;
use crate::limits::{PAST_VIEW_KEEP, PAST_VIEWS_MAX};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::Instant;

/// The past lists used last.
#[derive(Debug, Default)]
pub(crate) struct PastViews(Mutex<VecDeque<Past>>);

#[derive(Debug)]
struct Past {
    revision: i64,
    objects: Ordered,
    used: Instant,
}

impl PastViews {
    pub(crate) fn get(&self, revision: i64) -> Option<Ordered> {
        let mut kept = self.0.lock();
        let at = kept.iter().position(|past| past.revision == revision)?;
        let mut found = kept.remove(at)?;
        found.used = Instant::now();
        let objects = found.objects.clone();
        kept.push_back(found);
        Some(objects)
    }

    pub(crate) fn put(&self, revision: i64, objects: Ordered) {
        let mut kept = self.0.lock();
        kept.retain(|past| past.revision != revision);
        if kept.len() == PAST_VIEWS_MAX {
            kept.pop_front();
        }
        kept.push_back(Past {
            revision,
            objects,
            used: Instant::now(),
        });
    }

    /// Forgets lists that nobody has asked for lately.
    pub(crate) fn trim(&self, now: Instant) {
        let recent = |past: &Past| now.saturating_duration_since(past.used) < PAST_VIEW_KEEP;
        self.0.lock().retain(recent);
    }

    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::PastViews;
    use crate::cache::ordered::Ordered;
    use crate::limits::{PAST_VIEW_KEEP, PAST_VIEWS_MAX};
    use std::time::Instant;

    #[test]
    fn the_least_used_go_first_and_the_unused_go_in_time() {
        let past = PastViews::default();
        let many = i64::try_from(PAST_VIEWS_MAX).unwrap();
        for revision in 0..many {
            past.put(revision, Ordered::default());
        }
        assert!(past.get(0).is_some(), "which makes it the one used last");
        past.put(many, Ordered::default());
        assert!(past.get(1).is_none());
        assert!(past.get(0).is_some());
        past.trim(Instant::now() + PAST_VIEW_KEEP);
        assert!(past.get(0).is_none());
    }
}
