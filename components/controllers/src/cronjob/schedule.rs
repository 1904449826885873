//! Schedules in the dialect that the apiserver accepts: five fields, or a word such as `@daily`.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _, Zoned};

/// How far ahead a moment is looked for: some never come, as the 31st of February.
const YEARS_MAX: i16 = 5;

/// When jobs are due. The rules are those of robfig's cron package: a moment that a change of clocks leaves out is
/// left out, one that comes twice counts twice, and if both days are restricted either is enough.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Schedule {
    Fields(Fields),
    /// From one time to the next, in whole seconds.
    Every(Duration),
}

/// Sets of numbers as bits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether a field has a star: then the other one decides alone.
    any_day: bool,
    any_weekday: bool,
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field: least and greatest number, and names for them.
struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

impl Bounds {
    const fn new(min: u32, max: u32, names: &'static [&'static str]) -> Self {
        Self { min, max, names }
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(at) = self.names.iter().position(|name| *name == lower) {
            return Ok(self.min + u32::try_from(at).unwrap_or(0));
        }
        text.parse()
            .map_err(|_| format!("failed to parse number {text}"))
    }

    /// The set of a comma-separated list, and whether it has a star.
    fn set(&self, text: &str) -> Result<(u64, bool), String> {
        let mut all = (0, false);
        for part in text.split(',') {
            let (bits, star) = self.range(part)?;
            all = (all.0 | bits, all.1 | star);
        }
        Ok(all)
    }

    /// `*`, `?`, a number or a range, with a step or without.
    fn range(&self, text: &str) -> Result<(u64, bool), String> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => {
                let parsed = step.parse::<u32>().ok();
                let bad = || format!("step of range should be a positive number: {text}");
                (range, parsed.filter(|step| *step > 0).ok_or_else(bad)?)
            }
            None => (text, 1),
        };
        let star = matches!(range, "*" | "?");
        let (first, last) = match range.split_once('-') {
            _ if star => (self.min, self.max),
            Some((first, last)) => (self.number(first)?, self.number(last)?),
            None => {
                let first = self.number(range)?;
                // With a step, a number is a beginning.
                let open = text.contains('/');
                (first, if open { self.max } else { first })
            }
        };
        if first < self.min || last > self.max || first > last {
            return Err(format!("not within {}-{}: {text}", self.min, self.max));
        }
        let numbers = (first..=last).step_by(usize::try_from(step).unwrap_or(1));
        let bits = numbers.fold(0, |bits, number| bits | 1 << number);
        // A star with a step restricts.
        Ok((bits, star && step == 1))
    }
}

impl Schedule {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(every) = text.strip_prefix("@every ") {
            let every = every.trim().parse::<SignedDuration>();
            let every = every.map_err(|_| format!("failed to parse duration {text}"))?;
            // At least a second, and nothing finer.
            let seconds = u64::try_from(every.as_secs()).unwrap_or(0).max(1);
            return Ok(Self::Every(Duration::from_secs(seconds)));
        }
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!(
                "expected exactly 5 fields, found {}: {text}",
                fields.len()
            ));
        };
        let (days, any_day) = Bounds::new(1, 31, &[]).set(day)?;
        let (weekdays, any_weekday) = Bounds::new(0, 6, &WEEKDAYS).set(weekday)?;
        Ok(Self::Fields(Fields {
            minutes: Bounds::new(0, 59, &[]).set(minute)?.0,
            hours: Bounds::new(0, 23, &[]).set(hour)?.0,
            months: Bounds::new(1, 12, &MONTHS).set(month)?.0,
            days,
            weekdays,
            any_day,
            any_weekday,
        }))
    }

    /// The first moment after `after`; `None` if there is none within five years.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Every(every) => {
                let every = SignedDuration::try_from(*every).ok()?;
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                whole.checked_add(every).ok()
            }
            Self::Fields(fields) => fields.next(&after.to_zoned(zone.clone())),
        }
    }
}

fn has(bits: u64, number: i8) -> bool {
    u32::try_from(number).is_ok_and(|number| bits & (1 << number) != 0)
}

impl Fields {
    fn next(&self, after: &Zoned) -> Option<Timestamp> {
        let second = i64::from(after.second());
        let whole = Timestamp::from_second(after.timestamp().as_second()).ok()?;
        let mut at = whole
            .checked_add(SignedDuration::from_secs(60 - second))
            .ok()?
            .to_zoned(after.time_zone().clone());
        let last = after.year() + YEARS_MAX;
        while at.year() <= last {
            at = if !has(self.months, at.month()) {
                let first = at.first_of_month().ok()?.start_of_day().ok()?;
                first.checked_add(1.month()).ok()?
            } else if !self.has_day(&at) {
                at.tomorrow().ok()?.start_of_day().ok()?
            } else if !has(self.hours, at.hour()) {
                forward(&at, 60 - i64::from(at.minute()))?
            } else if !has(self.minutes, at.minute()) {
                forward(&at, 1)?
            } else {
                return Some(at.timestamp());
            };
        }
        None
    }

    fn has_day(&self, at: &Zoned) -> bool {
        let day = has(self.days, at.day());
        let weekday = has(self.weekdays, at.weekday().to_sunday_zero_offset());
        match self.any_day || self.any_weekday {
            true => day && weekday,
            false => day || weekday,
        }
    }
}

/// By passing time, not by the clock on the wall.
fn forward(at: &Zoned, minutes: i64) -> Option<Zoned> {
    let later = at
        .timestamp()
        .checked_add(SignedDuration::from_secs(60 * minutes))
        .ok()?;
    Some(later.to_zoned(at.time_zone().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_moment_is_the_one_that_cron_says() {
        let utc = "UTC";
        let berlin = "Europe/Berlin";
        for (schedule, zone, after, expected) in [
            (
                "* * * * *",
                utc,
                "2026-01-01T00:00:00Z",
                "2026-01-01T00:01:00Z",
            ),
            (
                "* * * * *",
                utc,
                "2026-01-01T00:00:59.5Z",
                "2026-01-01T00:01:00Z",
            ),
            (
                "*/15 * * * *",
                utc,
                "2026-01-01T00:50:00Z",
                "2026-01-01T01:00:00Z",
            ),
            (
                "5/20 * * * *",
                utc,
                "2026-01-01T00:06:00Z",
                "2026-01-01T00:25:00Z",
            ),
            (
                "0 9-17/4 * * mon-FRI",
                utc,
                "2026-01-02T17:30:00Z",
                "2026-01-05T09:00:00Z",
            ),
            (
                "30 3 1,15 * *",
                utc,
                "2026-01-15T03:30:00Z",
                "2026-02-01T03:30:00Z",
            ),
            // Either day is enough, if both are restricted.
            (
                "0 0 13 * 5",
                utc,
                "2026-01-01T00:00:00Z",
                "2026-01-02T00:00:00Z",
            ),
            (
                "0 0 13 * ?",
                utc,
                "2026-01-01T00:00:00Z",
                "2026-01-13T00:00:00Z",
            ),
            (
                "0 0 29 feb *",
                utc,
                "2026-01-01T00:00:00Z",
                "2028-02-29T00:00:00Z",
            ),
            ("0 0 31 2 *", utc, "2026-01-01T00:00:00Z", "never"),
            (
                "@daily",
                utc,
                "2026-12-31T12:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
            (
                "@weekly",
                utc,
                "2026-01-01T00:00:00Z",
                "2026-01-04T00:00:00Z",
            ),
            (
                "@every 1h30m",
                utc,
                "2026-01-01T00:00:05.7Z",
                "2026-01-01T01:30:05Z",
            ),
            // Never more often than each second, as robfig's.
            (
                "@every 0s",
                utc,
                "2026-01-01T00:00:05.7Z",
                "2026-01-01T00:00:06Z",
            ),
            (
                "0 9 * * *",
                berlin,
                "2026-01-01T09:00:00Z",
                "2026-01-02T08:00:00Z",
            ),
            // There is no half past two on that day,
            (
                "30 2 * * *",
                berlin,
                "2026-03-29T00:00:00Z",
                "2026-03-30T00:30:00Z",
            ),
            // and there are two on this one.
            (
                "30 2 * * *",
                berlin,
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
            ),
            (
                "30 2 * * *",
                berlin,
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:30:00Z",
            ),
        ] {
            let zone = TimeZone::get(zone).expect("a zone");
            let parsed = Schedule::parse(schedule).expect(schedule);
            let after: Timestamp = after.parse().expect("a time");
            let next = parsed.next(after, &zone);
            let next = next.map_or("never".to_owned(), |next| next.to_string());
            assert_eq!(next, expected, "{schedule} after {after}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "x * * * *",
            "@every",
            "@every soon",
            "@never",
        ] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
