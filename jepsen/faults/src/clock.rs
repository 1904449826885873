//! Jumps of a process's wall clock, by libfaketime preloaded and a file that says how far it is off.
//!
//! What is true, as tried:
//!
//! - It works for Mainstay: log lines, the `Date` of HTTP answers and the process start time on `/metrics` jump. It does
//!   **not** work for etcd, as for any Go program: the Go runtime asks the kernel without the C library.
//!   [`Clock::jump`] then fails with [`Error::NotActing`].
//! - The monotonic clock is left alone (`FAKETIME_DONT_FAKE_MONOTONIC`): timers, elections and leases keep their pace
//!   through jumps in both directions. By default libfaketime would shift it with the wall clock, and after a jump back the
//!   server no longer answered, which no real machine does.
//! - The offset is read anew on every reading of the wall clock, so a jump acts at once.
//!
//! The victim's own clock is what proves a jump. Over HTTP it shows in two places, each with a blind spot: the `Date`
//! header, which HTTP libraries cache and so does not go back, and the start time, which only programs that
//! compute it from their clock shift.

use crate::capability;
use crate::error::{Error, Result};
use crate::limits::{CLOCK_DEADLINE, POLL_INTERVAL};
use crate::process::http_get;
use crate::proof::Proof;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A `Date` has whole seconds, and is cached for up to one.
const TOLERANCE_SECONDS: f64 = 2.0;

/// The clock of one process, right until it is [shifted](Clock::shift).
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
    offset: Duration,
    behind: bool,
}

/// What a server says about its clock, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shown {
    /// The `Date` header minus the harness's own clock.
    pub date_ahead: Option<f64>,
    /// When the server thinks it was started.
    pub started: Option<f64>,
}

impl Clock {
    /// A clock that is kept in `file`, a path that does not need to exist. Needs [`crate::Need::FakeTime`].
    pub fn create(file: impl Into<PathBuf>) -> Result<Self> {
        let library = capability::faketime_library().map_err(|why| Error::Absent {
            what: capability::Need::FakeTime.name(),
            why,
        })?;
        let mut clock = Self {
            library,
            file: file.into(),
            offset: Duration::ZERO,
            behind: false,
        };
        clock.shift(Duration::ZERO, false)?;
        Ok(clock)
    }

    /// The variables with which a process must be started to follow this clock.
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        vec![
            ("LD_PRELOAD".into(), self.library.clone().into()),
            ("FAKETIME_TIMESTAMP_FILE".into(), self.file.clone().into()),
            ("FAKETIME_NO_CACHE".into(), "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC".into(), "1".into()),
        ]
    }

    /// Lets the clock be `offset` ahead of the machine's, or behind it. Without proof.
    pub fn shift(&mut self, offset: Duration, behind: bool) -> Result<()> {
        let sign = if behind { '-' } else { '+' };
        let text = format!("{sign}{}.{:09}\n", offset.as_secs(), offset.subsec_nanos());
        // Replaced at once: a reader never sees half a number.
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, text)
            .and_then(|()| fs::rename(&fresh, &self.file))
            .map_err(Error::io(format!("write {}", self.file.display())))?;
        (self.offset, self.behind) = (offset, behind);
        Ok(())
    }

    /// Shifts the clock, relative to the machine's, of the server that serves plain HTTP at `victim`. The proof is that
    /// what it shows has moved by as much, give or take [`TOLERANCE_SECONDS`]; jumps of less than twice that cannot
    /// be proven.
    pub fn jump(&mut self, offset: Duration, behind: bool, victim: SocketAddr) -> Result<Proof> {
        let old = self.seconds();
        let before = Shown::by(victim)?;
        self.shift(offset, behind)?;
        let moved = self.seconds() - old;
        if moved.abs() < 2.0 * TOLERANCE_SECONDS {
            return Ok(Proof::when(
                false,
                format!("a jump by {moved:+.3} s is too small to be seen"),
            ));
        }
        let start = Instant::now();
        loop {
            let now = Shown::by(victim)?;
            if let Some(text) = now.differs(&before, moved) {
                return Ok(Proof::acted(text));
            }
            if start.elapsed() > CLOCK_DEADLINE {
                return Err(Error::NotActing(format!(
                    "a jump by {moved:+.3} s does not show: {before:?} before, {now:?} after"
                )));
            }
            sleep(POLL_INTERVAL);
        }
    }

    fn seconds(&self) -> f64 {
        let seconds = self.offset.as_secs_f64();
        if self.behind { -seconds } else { seconds }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // A process that goes on shall have the right time. The file may be gone with its folder.
        let _ = self.shift(Duration::ZERO, false);
    }
}

impl Shown {
    /// Asks a server.
    pub fn by(victim: SocketAddr) -> Result<Self> {
        let asked = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let answer =
            http_get(victim, "/metrics").map_err(Error::io(format!("ask {victim} its time")))?;
        let lines = || answer.lines();
        let date = lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("date"))
            .and_then(|(_, value)| parse_date(value));
        let started = lines()
            .find_map(|line| line.strip_prefix("process_start_time_seconds "))
            .and_then(|value| value.trim().parse().ok());
        Ok(Self {
            date_ahead: date.map(|date| date as f64 - asked.as_secs_f64()),
            started,
        })
    }

    /// Says so if anything moved by about `moved` seconds.
    fn differs(&self, before: &Self, moved: f64) -> Option<String> {
        let by = |now: Option<f64>, then: Option<f64>| {
            let by = now? - then?;
            ((by - moved).abs() <= TOLERANCE_SECONDS).then_some(by)
        };
        if let Some(by) = by(self.date_ahead, before.date_ahead) {
            return Some(format!("the victim's Date moved by {by:+.1} s"));
        }
        let by = by(self.started, before.started)?;
        Some(format!("the victim's start time moved by {by:+.1} s"))
    }
}

/// Seconds since 1970 of "Sat, 21 Nov 2026 11:43:49 GMT".
fn parse_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.trim().split(' ').skip(1);
    let day: i64 = words
        .next()?
        .parse()
        .ok()
        .filter(|day| (1..=31).contains(day))?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year: i64 = words
        .next()?
        .parse()
        .ok()
        .filter(|year| (1970..10_000).contains(year))?;
    let mut clock = words
        .next()?
        .split(':')
        .map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    // Years that begin in March end with the leap day.
    let (month, year) = if month < 2 {
        (month + 10, year - 1)
    } else {
        (month - 2, year)
    };
    let month = i64::try_from(month).ok()?;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    /// From the first of March of year 0 to 1970.
    const EPOCH_DAYS: i64 = 719_468;
    Some((((days - EPOCH_DAYS) * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::parse_date;

    #[test]
    fn dates_are_read() {
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            parse_date("Tue, 29 Feb 2000 12:00:01 GMT"),
            Some(951_825_601)
        );
        assert_eq!(
            parse_date("Sat, 21 Nov 2026 11:43:49 GMT"),
            Some(1_795_261_429)
        );
        assert_eq!(parse_date("yesterday"), None);
    }
}
