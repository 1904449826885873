//! Values in the syntax of Go's `flag` package.

use super::spec::Kind;
use std::time::Duration;

/// `1 t T true TRUE True` and their opposites.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Go's duration syntax: `300ms`, `1.5h`, `2h45m`; `0` needs no unit.
pub fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_len = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let seconds = match &rest[..unit_len] {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number * seconds;
        rest = &rest[unit_len..];
    }
    Duration::try_from_secs_f64(total).ok()
}

/// Checks a value's form; the error is Go's word for it.
pub(super) fn check(kind: Kind, text: &str) -> Result<(), String> {
    let good = match kind {
        Kind::Bool => parse_bool(text).is_some(),
        Kind::Unsigned(max) => match text.parse::<u128>() {
            Ok(n) if n > u128::from(max) => return Err("value out of range".to_owned()),
            other => other.is_ok(),
        },
        Kind::Signed => text.parse::<i64>().is_ok(),
        Kind::Duration => duration(text).is_some(),
        Kind::Urls | Kind::AnyUrls => {
            if kind == Kind::AnyUrls && (text == "*" || text.is_empty()) {
                return Ok(());
            }
            return crate::urls::ListenUrl::parse_list(text)
                .map(|_| ())
                .map_err(|e| e.to_string());
        }
        Kind::OneOf(choices) => {
            if !choices.contains(&text) {
                return Err("invalid value".to_owned());
            }
            true
        }
        Kind::Text | Kind::List | Kind::Ignored => true,
    };
    if good {
        Ok(())
    } else {
        Err("parse error".to_owned())
    }
}

/// Whether two values mean the same.
pub(super) fn same(kind: Kind, a: &str, b: &str) -> bool {
    match kind {
        Kind::Bool => parse_bool(a) == parse_bool(b),
        Kind::Duration => duration(a) == duration(b),
        Kind::Unsigned(_) | Kind::Signed => a.parse::<i128>().ok() == b.parse::<i128>().ok(),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_reads_them() {
        let ms = |n| Some(Duration::from_millis(n));
        assert_eq!(duration("300ms"), ms(300));
        assert_eq!(duration("1.5h"), ms(5_400_000));
        assert_eq!(duration("2h45m"), ms(9_900_000));
        assert_eq!(duration("0"), ms(0));
        for bad in ["", "5", "s", "1x", "-1s", "1h2", "."] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_have_their_range() {
        assert_eq!(
            check(Kind::Unsigned(10), "11").unwrap_err(),
            "value out of range"
        );
        assert_eq!(check(Kind::Unsigned(10), "-1").unwrap_err(), "parse error");
        assert!(check(Kind::Signed, "-1").is_ok());
        assert!(check(Kind::Urls, "http://a:1,https://b:2").is_ok());
        assert!(check(Kind::Urls, "nope").unwrap_err().contains("scheme"));
    }
}
