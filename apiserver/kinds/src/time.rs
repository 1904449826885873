//! Points in time as objects carry them, and durations as people read them.

use mainstay_machinery::meta::parse_time;
use serde_json::Value;

const MILLIS: i64 = 1000;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// Milliseconds since 1970 of a time as objects carry it; `None` if it is none.
pub(crate) fn parse_millis(text: &str) -> Option<i64> {
    let time = parse_time(text).ok()?;
    Some(time.seconds * MILLIS + i64::from(time.nanos / 1_000_000))
}

/// How long ago a time was; `<unknown>` for none.
pub(crate) fn ago(time: Option<&Value>, now_millis: i64) -> String {
    match time.and_then(Value::as_str).and_then(parse_millis) {
        Some(then) => human_duration(now_millis.saturating_sub(then)),
        None => "<unknown>".to_owned(),
    }
}

/// Two or three significant figures, as kubectl prints ages: `90s`, `5m30s`, `26h`, `3d4h`, `2y10d`.
/// Clocks may differ by a second; anything further in the future is `<invalid>`.
pub(crate) fn human_duration(millis: i64) -> String {
    let seconds = millis / MILLIS;
    let (minutes, hours, days, years) = (
        seconds / MINUTE,
        seconds / HOUR,
        seconds / DAY,
        seconds / YEAR,
    );
    let two = |large: i64, unit: char, small: i64, sub: char| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{sub}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 2 * MINUTE => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        _ if minutes < 3 * 60 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => two(days, 'd', hours % 24, 'h'),
        _ if days < 2 * 365 => format!("{days}d"),
        _ if days < 8 * 365 => two(years, 'y', days % 365, 'd'),
        _ => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-03-01T00:00:00Z", 951_868_800_000),
            ("2026-01-02T03:04:05Z", 1_767_323_045_000),
            ("2026-01-02T03:04:05.123456Z", 1_767_323_045_123),
            ("2026-01-02T04:04:05+01:00", 1_767_323_045_000),
        ] {
            assert_eq!(parse_millis(text), Some(millis), "{text}");
        }
        for wrong in ["", "2026", "2026-13-01T00:00:00Z"] {
            assert_eq!(parse_millis(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_are_short() {
        for (seconds, text) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (600, "10m"),
            (3 * HOUR - 1, "179m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 60, "3h1m"),
            (47 * HOUR, "47h"),
            (50 * HOUR, "2d2h"),
            (8 * DAY, "8d"),
            (2 * YEAR + DAY, "2y1d"),
            (9 * YEAR, "9y"),
        ] {
            assert_eq!(human_duration(seconds * MILLIS), text, "{seconds}");
        }
    }
}
