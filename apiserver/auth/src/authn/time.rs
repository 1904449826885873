//! Points in time as seconds since 1970, as tokens count them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Reads `2026-01-02T03:04:05Z` and its variants; `None` if it is not in that form.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .map(OffsetDateTime::unix_timestamp)
}

/// Writes `2026-01-02T03:04:05Z`; a time out of range becomes the start of 1970.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}
