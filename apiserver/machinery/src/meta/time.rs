//! Times on the wire: RFC 3339 in UTC, whole seconds (`Time`) or microseconds (`MicroTime`).
//!
//! Go parses any offset and fraction and prints UTC; so does this. Error texts are those of Go's `time.Parse`.

use crate::gofmt::quote;
use std::fmt;

const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const LAYOUT_MICRO: &str = "2006-01-02T15:04:05.000000Z07:00";
const SECONDS_A_DAY: i64 = 86_400;

/// A point in time: seconds since 1970 and nanoseconds after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Nanoseconds after that second, below 10⁹.
    pub nanos: u32,
}

/// A time of whole seconds on the wire.
pub type Time = Instant;
/// A time of microseconds on the wire.
pub type MicroTime = Instant;

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseTimeError {
    text: String,
    layout: &'static str,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    /// The rest of the text does not fit the rest of the layout.
    Unparsed { rest: String, element: &'static str },
    /// Text is left over.
    Extra(String),
    /// A number is too big for its place.
    OutOfRange(&'static str),
}

impl fmt::Display for ParseTimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = quote(&self.text);
        match &self.problem {
            Problem::Unparsed { rest, element } => write!(
                f,
                "parsing time {text} as {}: cannot parse {} as {}",
                quote(self.layout),
                quote(rest),
                quote(element)
            ),
            Problem::Extra(rest) => {
                write!(f, "parsing time {text}: extra text: {}", quote(rest))
            }
            Problem::OutOfRange(what) => write!(f, "parsing time {text}: {what} out of range"),
        }
    }
}

impl std::error::Error for ParseTimeError {}

/// Parses an RFC 3339 time with any offset and an optional fraction.
pub fn parse_time(text: &str) -> Result<Instant, ParseTimeError> {
    parse(text, LAYOUT, false)
}

/// Parses a time that must have six digits of fraction.
pub fn parse_micro_time(text: &str) -> Result<Instant, ParseTimeError> {
    parse(text, LAYOUT_MICRO, true)
}

/// `2006-01-02T15:04:05Z`.
pub fn format_time(time: Instant) -> String {
    format!("{}Z", Civil::of(time.seconds))
}

/// `2006-01-02T15:04:05.000000Z`.
pub fn format_micro_time(time: Instant) -> String {
    format!("{}.{:06}Z", Civil::of(time.seconds), time.nanos / 1000)
}

/// The text Go would print for this `Time`; None where it is that already.
pub fn normalize_time(text: &str) -> Result<Option<String>, ParseTimeError> {
    let normal = format_time(parse_time(text)?);
    Ok((normal != text).then_some(normal))
}

/// The text Go would print for this `MicroTime`; None where it is that already.
pub fn normalize_micro_time(text: &str) -> Result<Option<String>, ParseTimeError> {
    let normal = format_micro_time(parse_micro_time(text)?);
    Ok((normal != text).then_some(normal))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    layout: &'static str,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fail(&self, problem: Problem) -> ParseTimeError {
        ParseTimeError {
            text: self.text.to_owned(),
            layout: self.layout,
            problem,
        }
    }

    fn unparsed(&self, element: &'static str) -> ParseTimeError {
        let rest = self.rest().to_owned();
        self.fail(Problem::Unparsed { rest, element })
    }

    fn literal(&mut self, element: &'static str) -> Result<(), ParseTimeError> {
        if !self.rest().starts_with(element) {
            return Err(self.unparsed(element));
        }
        self.at += element.len();
        Ok(())
    }

    fn digits(&mut self, count: usize, element: &'static str) -> Result<u32, ParseTimeError> {
        let end = self.at + count;
        match self.text.as_bytes().get(self.at..end) {
            Some(digits) if digits.iter().all(u8::is_ascii_digit) => {
                self.at = end;
                Ok(digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
            }
            _ => Err(self.unparsed(element)),
        }
    }

    fn ranged(
        &mut self,
        element: &'static str,
        what: &'static str,
        max: u32,
    ) -> Result<u32, ParseTimeError> {
        let number = self.digits(2, element)?;
        if number > max {
            return Err(self.fail(Problem::OutOfRange(what)));
        }
        Ok(number)
    }

    fn fraction(&mut self, micro: bool) -> Result<u32, ParseTimeError> {
        let rest = self.rest().as_bytes();
        let separated = matches!(rest.first(), Some(b'.' | b','));
        let count = rest
            .iter()
            .skip(1)
            .take_while(|b| b.is_ascii_digit())
            .count();
        if !separated || count == 0 {
            return if micro {
                Err(self.unparsed(".000000"))
            } else {
                Ok(0)
            };
        }
        if micro && count != 6 {
            return Err(self.unparsed(".000000"));
        }
        let nanos = rest[1..=count]
            .iter()
            .chain(std::iter::repeat(&b'0'))
            .take(9)
            .fold(0, |n, d| n * 10 + u32::from(d - b'0'));
        self.at += 1 + count;
        Ok(nanos)
    }

    fn offset_seconds(&mut self) -> Result<i64, ParseTimeError> {
        const ELEMENT: &str = "Z07:00";
        let sign = match self.rest().as_bytes().first() {
            Some(b'Z') => {
                self.at += 1;
                return Ok(0);
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.unparsed(ELEMENT)),
        };
        let bytes = self.rest().as_bytes();
        let shaped = bytes.len() >= 6
            && bytes[3] == b':'
            && [1, 2, 4, 5].iter().all(|&i| bytes[i].is_ascii_digit());
        if !shaped {
            return Err(self.unparsed(ELEMENT));
        }
        let two = |i: usize| i64::from(bytes[i] - b'0') * 10 + i64::from(bytes[i + 1] - b'0');
        let (hours, minutes) = (two(1), two(4));
        if hours > 24 {
            return Err(self.fail(Problem::OutOfRange("time zone offset hour")));
        }
        if minutes > 60 {
            return Err(self.fail(Problem::OutOfRange("time zone offset minute")));
        }
        self.at += 6;
        Ok(sign * (hours * 3600 + minutes * 60))
    }
}

fn parse(text: &str, layout: &'static str, micro: bool) -> Result<Instant, ParseTimeError> {
    let mut p = Parser {
        text,
        at: 0,
        layout,
    };
    let year = p.digits(4, "2006")?;
    p.literal("-")?;
    let month = p.digits(2, "01")?;
    if !(1..=12).contains(&month) {
        return Err(p.fail(Problem::OutOfRange("month")));
    }
    p.literal("-")?;
    let day = p.digits(2, "02")?;
    p.literal("T")?;
    let hour = p.ranged("15", "hour", 23)?;
    p.literal(":")?;
    let minute = p.ranged("04", "minute", 59)?;
    p.literal(":")?;
    let second = p.ranged("05", "second", 59)?;
    let nanos = p.fraction(micro)?;
    let offset = p.offset_seconds()?;
    if p.at < text.len() {
        return Err(p.fail(Problem::Extra(p.rest().to_owned())));
    }
    if day < 1 || day > days_in_month(year, month) {
        return Err(p.fail(Problem::OutOfRange("day")));
    }
    let clock = i64::from(hour * 3600 + minute * 60 + second);
    let seconds = days_from_civil(i64::from(year), month, day) * SECONDS_A_DAY + clock - offset;
    Ok(Instant { seconds, nanos })
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in years that begin in March.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// A date and time of day in UTC.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    second_of_day: i64,
}

impl Civil {
    fn of(seconds: i64) -> Civil {
        let days = seconds.div_euclid(SECONDS_A_DAY) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            second_of_day: seconds.rem_euclid(SECONDS_A_DAY),
        }
    }
}

impl fmt::Display for Civil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.second_of_day;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            self.year,
            self.month,
            self.day,
            s / 3600,
            s / 60 % 60,
            s % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes_as_go_prints() {
        for (text, want) in [
            ("2008-01-01T01:01:01Z", "2008-01-01T01:01:01Z"),
            ("2008-01-01T01:01:01.987Z", "2008-01-01T01:01:01Z"),
            ("2008-01-01T01:01:01+02:00", "2007-12-31T23:01:01Z"),
            ("2024-02-29T23:59:59-00:30", "2024-03-01T00:29:59Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(format_time(parse_time(text).unwrap()), want);
        }
        let micro = parse_micro_time("2010-01-01T01:01:01.000010+01:00").unwrap();
        assert_eq!(format_micro_time(micro), "2010-01-01T00:01:01.000010Z");
        assert_eq!(parse_time("1970-01-02T00:00:00Z").unwrap().seconds, 86_400);
    }

    #[test]
    fn errors_are_gos() {
        for (text, want) in [
            (
                "x",
                r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#,
            ),
            (
                "2008-01-01",
                r#"parsing time "2008-01-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T""#,
            ),
            (
                "2008-01-01T01:01:01",
                r#"parsing time "2008-01-01T01:01:01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00""#,
            ),
            (
                "2008-13-01T01:01:01Z",
                r#"parsing time "2008-13-01T01:01:01Z": month out of range"#,
            ),
            (
                "2023-02-29T01:01:01Z",
                r#"parsing time "2023-02-29T01:01:01Z": day out of range"#,
            ),
            (
                "2008-01-01T01:01:01Zx",
                r#"parsing time "2008-01-01T01:01:01Zx": extra text: "x""#,
            ),
        ] {
            assert_eq!(parse_time(text).unwrap_err().to_string(), want);
        }
        assert!(parse_micro_time("2008-01-01T01:01:01Z").is_err());
    }
}
