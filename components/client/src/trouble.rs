//! Whether a kind can be listed and watched.

use std::fmt;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::{WATCH_FAILS_MAX, WATCH_FAILURES_APART, WATCH_HOLDS};

/// Failures of lists and watches, in a row.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Mutex<Option<Row>>);

#[derive(Debug)]
struct Row {
    first: Instant,
    last: Instant,
    /// When the server agreed to a list or a watch that has not failed since.
    agreed: Option<Instant>,
    why: String,
}

impl Trouble {
    /// A list or a watch has failed. A watch that was begun again says nothing until something happens: failures that
    /// are far apart are not in one row.
    pub(crate) fn failed(&self, now: Instant, why: &impl fmt::Display) {
        let mut row = self.0.lock();
        let begun = row.as_ref().filter(|row| !row.is_over(now));
        *row = Some(Row {
            first: begun.map_or(now, |row| row.first),
            last: now,
            agreed: None,
            why: why.to_string(),
        });
    }

    /// The server has agreed to a list or a watch. Of a watch nothing else may be seen for a long time.
    pub(crate) fn agreed(&self, now: Instant) {
        if let Some(row) = self.0.lock().as_mut() {
            row.agreed.get_or_insert(now);
        }
    }

    /// Something has come.
    pub(crate) fn ends(&self) {
        *self.0.lock() = None;
    }

    /// Why nothing comes. As long as nothing has ever come (`is_new`), the first failure counts.
    pub(crate) fn told(&self, now: Instant, is_new: bool) -> Option<String> {
        let row = self.0.lock();
        let row = row.as_ref().filter(|row| {
            let lasts = row.last - row.first >= WATCH_FAILS_MAX && !row.is_over(now);
            is_new || lasts
        });
        row.map(|row| row.why.clone())
    }
}

impl Row {
    fn is_over(&self, now: Instant) -> bool {
        let holds = self.agreed.is_some_and(|since| now - since >= WATCH_HOLDS);
        holds || now - self.last > WATCH_FAILURES_APART
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_fails_again_and_again_is_told_and_what_failed_once_is_not() {
        let trouble = Trouble::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(trouble.told(at(0), true), None, "it has not been tried");
        trouble.failed(at(0), &"forbidden");
        assert_eq!(trouble.told(at(0), false), None);
        assert_eq!(trouble.told(at(0), true).as_deref(), Some("forbidden"));
        for seconds in (10..=60).step_by(10) {
            trouble.failed(at(seconds), &"still forbidden");
        }
        let told = trouble.told(at(60), false);
        assert_eq!(told.as_deref(), Some("still forbidden"));
        // A watch without events: all that shows is that it does not fail any more.
        let later = 61 + WATCH_FAILURES_APART.as_secs();
        assert_eq!(trouble.told(at(later), false), None);
        trouble.failed(at(later), &"cut");
        assert_eq!(trouble.told(at(later), false), None, "another row");
        trouble.ends();
        assert_eq!(trouble.told(at(later), true), None);
    }

    #[test]
    fn a_quiet_watch_that_may_be_again_was_told_to_fail_for_two_minutes() {
        let trouble = Trouble::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let failing = || {
            (0..=60)
                .step_by(10)
                .for_each(|s| trouble.failed(at(s), &"forbidden"))
        };
        failing();
        // Agreed to and cut at once is no agreement.
        trouble.agreed(at(62));
        trouble.failed(at(63), &"cut");
        assert_eq!(trouble.told(at(70), false).as_deref(), Some("cut"));
        trouble.agreed(at(71));
        assert_eq!(trouble.told(at(72), false).as_deref(), Some("cut"));
        let held = 71 + WATCH_HOLDS.as_secs();
        assert_eq!(trouble.told(at(held), false), None);
        trouble.failed(at(held + 1), &"forbidden");
        assert_eq!(trouble.told(at(held + 1), false), None, "another row");
    }
}
