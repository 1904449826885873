//! Which start of a cron job is due.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::schedule::Schedule;
use crate::limits::CRON_MISSED_MAX;

/// A little later than the moment itself: clocks differ.
const LATE: Duration = Duration::from_millis(100);

/// What decides about the starts of one cron job.
pub(super) struct Times<'a> {
    pub(super) schedule: &'a Schedule,
    pub(super) zone: &'a TimeZone,
    pub(super) created: Timestamp,
    pub(super) last: Option<Timestamp>,
    pub(super) starting_deadline: Option<i64>,
    pub(super) now: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The last start that is due; earlier ones that were missed are not made good.
    pub(super) at: Option<Timestamp>,
    /// More starts were missed than happens by chance.
    pub(super) many_missed: bool,
}

impl Times<'_> {
    /// The start that is due now.
    pub(super) fn due(&self) -> Due {
        let mut earliest = self.last.unwrap_or(self.created);
        if let Some(seconds) = self.starting_deadline {
            let deadline = self.now - SignedDuration::from_secs(seconds);
            earliest = earliest.max(deadline);
        }
        self.due_since(earliest)
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.schedule.next(after, self.zone)
    }

    fn due_since(&self, earliest: Timestamp) -> Due {
        let only = |at| Due {
            at,
            many_missed: false,
        };
        let Some(first) = self.next(earliest).filter(|first| *first <= self.now) else {
            return only(None);
        };
        let Some(second) = self.next(first).filter(|second| *second <= self.now) else {
            return only(Some(first));
        };
        // About how many, by the distance of the first two: the list of all may be long.
        let between = second.duration_since(first).as_secs().max(1);
        let missed = self.now.duration_since(first).as_secs() / between + 1;
        let jump = SignedDuration::from_secs((missed - 2).max(0) * between);
        let mut at = first.checked_add(jump).unwrap_or(first);
        if jump.is_zero() || self.next(at).is_none_or(|next| next > self.now) {
            at = first;
        }
        let mut last = first;
        while let Some(next) = self.next(at).filter(|next| *next <= self.now) {
            last = next;
            at = next;
        }
        Due {
            at: Some(last),
            many_missed: missed > CRON_MISSED_MAX,
        }
    }

    /// Time until the next start.
    pub(super) fn wait(&self) -> Option<Duration> {
        let earliest = self.last.unwrap_or(self.created);
        let last = self.due_since(earliest).at.unwrap_or(earliest);
        let next = self.next(last.max(self.now))?;
        let wait = Duration::try_from(next.duration_since(self.now));
        Some(wait.unwrap_or(Duration::ZERO) + LATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_start_that_was_missed_is_due() {
        let time = |text: &str| -> Timestamp { format!("2026-01-0{text}Z").parse().expect(text) };
        for (schedule, last, deadline, now, due, many) in [
            ("0 * * * *", None, None, "1T00:30:00", None, false),
            (
                "0 * * * *",
                None,
                None,
                "1T01:00:00",
                Some("1T01:00:00"),
                false,
            ),
            (
                "0 * * * *",
                Some("1T01:00:00"),
                None,
                "1T01:59:59",
                None,
                false,
            ),
            (
                "0 * * * *",
                Some("1T01:00:00"),
                None,
                "1T05:10:00",
                Some("1T05:00:00"),
                false,
            ),
            (
                "0 * * * *",
                Some("1T01:00:00"),
                Some(60),
                "1T05:10:00",
                None,
                false,
            ),
            (
                "0 * * * *",
                Some("1T01:00:00"),
                Some(900),
                "1T05:10:00",
                Some("1T05:00:00"),
                false,
            ),
            (
                "* * * * *",
                Some("1T01:00:00"),
                None,
                "1T02:39:30",
                Some("1T02:39:00"),
                false,
            ),
            (
                "* * * * *",
                Some("1T01:00:00"),
                None,
                "1T05:10:30",
                Some("1T05:10:00"),
                true,
            ),
            (
                "* * * * *",
                Some("1T01:00:00"),
                Some(200),
                "1T05:10:30",
                Some("1T05:10:00"),
                false,
            ),
            // Not all of the same distance.
            (
                "30 6-16/4 * * 1-5",
                Some("1T06:30:00"),
                None,
                "5T11:00:00",
                Some("5T10:30:00"),
                false,
            ),
            ("0 0 31 2 *", None, None, "9T00:00:00", None, false),
        ] {
            let schedule_ = Schedule::parse(schedule).expect(schedule);
            let times = Times {
                schedule: &schedule_,
                zone: &TimeZone::UTC,
                created: time("1T00:10:00"),
                last: last.map(time),
                starting_deadline: deadline,
                now: time(now),
            };
            let expected = Due {
                at: due.map(time),
                many_missed: many,
            };
            assert_eq!(times.due(), expected, "{schedule} at {now}");
        }
    }

    #[test]
    fn the_wait_is_until_the_next_start() {
        let schedule = Schedule::parse("0 * * * *").expect("a schedule");
        let time = |text: &str| -> Timestamp { text.parse().expect(text) };
        let times = Times {
            schedule: &schedule,
            zone: &TimeZone::UTC,
            created: time("2026-01-01T00:10:00Z"),
            last: None,
            starting_deadline: None,
            now: time("2026-01-01T05:59:00Z"),
        };
        assert_eq!(times.wait(), Some(Duration::from_millis(60_100)));
    }
}
