//! What of a log is asked for: the query of `/containerLogs`, as `PodLogOptions` has it.

use form_urlencoded::parse;
use jiff::{SignedDuration, Timestamp};

use super::line::Stream;

/// What of a log is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    /// Lines from the end.
    pub tail: Option<u64>,
    /// Bytes that are answered at most.
    pub limit: Option<u64>,
    /// Nothing that is older.
    pub since: Option<Timestamp>,
    /// `None` for all.
    pub stream: Option<Stream>,
}

/// What is wrong with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Something is not what it should be, as a number.
    #[error("{{\"message\": \"Unable to decode query.\"}}")]
    Undecodable,
    /// It makes no sense.
    #[error("{{\"message\": \"Invalid request.\"}}")]
    Invalid,
}

impl LogOptions {
    /// Reads a query; names that are not known do not matter.
    ///
    /// # Errors
    /// As upstream distinguishes them.
    pub fn of(query: &str, now: Timestamp) -> Result<Self, OptionsError> {
        let mut options = Self::default();
        let (mut tail, mut limit, mut seconds) = (None, None, None);
        let mut time = None;
        let mut old_tail = None;
        for (name, value) in parse(query.as_bytes()) {
            let value = value.as_ref();
            let number = || value.parse::<i64>().map_err(|_| OptionsError::Undecodable);
            // Of several values the first one counts.
            match name.as_ref() {
                "follow" => options.follow |= is_true(value),
                "previous" => options.previous |= is_true(value),
                "timestamps" => options.timestamps |= is_true(value),
                "tail" if old_tail.is_none() && !value.is_empty() => {
                    old_tail = Some(value.to_owned());
                }
                "tailLines" if tail.is_none() => tail = Some(number()?),
                "limitBytes" if limit.is_none() => limit = Some(number()?),
                "sinceSeconds" if seconds.is_none() => seconds = Some(number()?),
                "sinceTime" if time.is_none() && !value.is_empty() => {
                    let parsed = value.parse::<Timestamp>();
                    time = Some(parsed.map_err(|_| OptionsError::Undecodable)?);
                }
                "stream" => options.stream = stream(value)?,
                _ => {}
            }
        }
        // The name of long ago counts before today's.
        match old_tail.as_deref() {
            None => {}
            Some("all") => tail = None,
            Some(text) => tail = Some(text.parse().map_err(|_| OptionsError::Undecodable)?),
        }
        let at_least = |value: Option<i64>, min: i64| match value {
            Some(value) if value < min => Err(OptionsError::Invalid),
            Some(value) => Ok(u64::try_from(value).ok()),
            None => Ok(None),
        };
        options.tail = at_least(tail, 0)?;
        options.limit = at_least(limit, 1)?;
        let seconds = at_least(seconds, 1)?;
        if seconds.is_some() && time.is_some() || options.stream.is_some() && tail.is_some() {
            return Err(OptionsError::Invalid);
        }
        options.since = time.or_else(|| {
            let seconds = i64::try_from(seconds?).ok()?;
            Some(
                now.checked_sub(SignedDuration::from_secs(seconds))
                    .unwrap_or(Timestamp::MIN),
            )
        });
        Ok(options)
    }
}

/// As upstream reads it: a name alone says yes.
fn is_true(value: &str) -> bool {
    !(value == "0" || value.eq_ignore_ascii_case("false"))
}

fn stream(value: &str) -> Result<Option<Stream>, OptionsError> {
    match value {
        "" | "All" => Ok(None),
        "Stdout" => Ok(Some(Stream::Stdout)),
        "Stderr" => Ok(Some(Stream::Stderr)),
        _ => Err(OptionsError::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<LogOptions, OptionsError> {
        LogOptions::of(query, "2026-01-01T00:00:00Z".parse().expect("a time"))
    }

    #[test]
    fn queries_are_read() {
        let all = of("follow=true&previous=1&timestamps&tailLines=0&limitBytes=9&sinceSeconds=60");
        let all = all.expect("fine");
        assert!(all.follow && all.previous && all.timestamps);
        assert_eq!((all.tail, all.limit), (Some(0), Some(9)));
        assert_eq!(
            all.since,
            Some("2025-12-31T23:59:00Z".parse().expect("a time"))
        );
        assert_eq!(of(""), Ok(LogOptions::default()));
        assert_eq!(of("follow=false&previous=0&what=ever"), of(""));
        let time = of("sinceTime=2026-01-01T01:00:00%2B01:00").expect("fine");
        assert_eq!(
            time.since,
            Some("2026-01-01T00:00:00Z".parse().expect("a time"))
        );
        assert_eq!(
            of("stream=Stderr").expect("fine").stream,
            Some(Stream::Stderr)
        );
        assert_eq!(of("tail=all&tailLines=3").expect("fine").tail, None);
        assert_eq!(of("tail=5&tailLines=3").expect("fine").tail, Some(5));
        assert!(of("sinceSeconds=9223372036854775807").is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for query in [
            "tailLines=x",
            "limitBytes=",
            "sinceTime=yesterday",
            "tail=x",
        ] {
            assert_eq!(of(query), Err(OptionsError::Undecodable), "{query}");
        }
        for query in [
            "tailLines=-1",
            "limitBytes=0",
            "sinceSeconds=0",
            "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z",
            "stream=stdout",
            "stream=Stdout&tailLines=1",
        ] {
            assert_eq!(of(query), Err(OptionsError::Invalid), "{query}");
        }
        let text = OptionsError::Invalid.to_string();
        assert_eq!(text, r#"{"message": "Invalid request."}"#);
    }
}
