//! Which revision the store can have been at, at a moment.

use crate::history::Outcome;

use super::history::{ApiHistory, News, Verb};

/// Bounds that follow from answers alone.
#[derive(Debug)]
pub(super) struct Moments {
    /// Time, and the greatest revision that had been told by then.
    told: Vec<(u64, i64)>,
    /// Time, and the least revision written by a call that began then or later.
    written: Vec<(u64, i64)>,
}

impl Moments {
    pub(super) fn new(history: &ApiHistory) -> Self {
        let mut told = Vec::new();
        let mut written = Vec::new();
        for call in &history.calls {
            let (Some(seen), Some(returned)) = (&call.seen, call.returned) else {
                continue;
            };
            told.push((returned, seen.version));
            // A deletion may answer an object that was on its way before.
            let writes = !matches!(call.verb, Verb::Get | Verb::List | Verb::Delete);
            if writes && call.outcome == Outcome::Ok {
                written.push((call.call, seen.version));
            }
        }
        told.extend(
            history
                .lists
                .iter()
                .map(|list| (list.returned, list.revision)),
        );
        for event in history
            .informers
            .iter()
            .flat_map(|informer| &informer.events)
        {
            let revision = match &event.news {
                News::Added(item) | News::Modified(item) | News::Deleted(item) => item.version,
                News::Bookmark { revision, .. } => *revision,
            };
            told.push((event.time, revision));
        }
        told.sort_unstable();
        let mut greatest = 0;
        for (_, revision) in &mut told {
            greatest = greatest.max(*revision);
            *revision = greatest;
        }
        written.sort_unstable();
        let mut least = i64::MAX;
        for (_, revision) in written.iter_mut().rev() {
            least = least.min(*revision);
            *revision = least;
        }
        Self { told, written }
    }

    /// The store was at this revision or a later one.
    pub(super) fn floor(&self, time: u64) -> i64 {
        let at = self.told.partition_point(|(told, _)| *told <= time);
        at.checked_sub(1).map_or(0, |at| self.told[at].1)
    }

    /// The store was at this revision or an earlier one.
    pub(super) fn ceiling(&self, time: u64) -> i64 {
        let at = self.written.partition_point(|(begun, _)| *begun < time);
        self.written
            .get(at)
            .map_or(i64::MAX, |(_, revision)| revision - 1)
    }
}
