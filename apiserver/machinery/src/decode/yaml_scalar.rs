//! What a plain YAML scalar means. The rules are YAML 1.1's, as the Go library behind Kubernetes has them: `yes` and
//! `on` are true, `0644` is octal; what looks like a date is a string.

use serde_json::{Number, Value};

/// The value of an unquoted scalar.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let numeric = matches!(text.as_bytes()[0], b'0'..=b'9' | b'+' | b'-' | b'.');
    let number = if numeric { number(text) } else { None };
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// The number a text stands for. Underscores are skipped. Infinities and NaN are refused before: JSON has no form for them.
pub(super) fn number(text: &str) -> Option<Number> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    if digits.starts_with('_') || digits.is_empty() {
        return None;
    }
    integer(&digits).or_else(|| float(&digits))
}

/// An integer with Go's prefixes: 0x, 0o, 0b, and a lone 0 for octal.
fn integer(text: &str) -> Option<Number> {
    let (negative, unsigned) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (digits, radix) = if let Some(hex) = lower.strip_prefix("0x") {
        (hex, 16)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        (octal, 8)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        (binary, 2)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if !negative {
        return Some(magnitude.into());
    }
    i64::try_from(-i128::from(magnitude)).ok().map(Number::from)
}

/// A float. Go prints a whole one without a point, so it becomes an integer here.
fn float(text: &str) -> Option<Number> {
    if !is_float(text) {
        return None;
    }
    let float: f64 = text.parse().ok()?;
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.fract() == 0.0 && float.abs() < EXACT {
        // Whole and below 2^53, so nothing is lost.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be whole and small"
        )]
        let whole = float as i64;
        return Some(whole.into());
    }
    Number::from_f64(float)
}

/// Digits with at most one point and perhaps an exponent.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits =
        all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_fits = exponent.is_none_or(|e| {
        let digits = e.strip_prefix(['+', '-']).unwrap_or(e);
        !digits.is_empty() && all_digits(digits)
    });
    mantissa_fits && exponent_fits
}

/// Whether an unquoted text is read as a string, here and by other readers of YAML 1.1: neither number, nor truth value,
/// nor null, nor a date, nor a number in base 60.
pub(crate) fn reads_as_plain_string(text: &str) -> bool {
    const SPECIAL: [&str; 12] = [
        ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
        "-.Inf", "-.INF",
    ];
    plain(text).is_string() && !SPECIAL.contains(&text) && !is_timestamp(text) && !is_base_60(text)
}

/// `12:30:45`.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let first = parts.next().unwrap_or_default();
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if !first.starts_with(|c: char| c.is_ascii_digit()) || !digits(first) {
        return false;
    }
    let mut count = 0;
    for part in parts {
        count += 1;
        let whole = part.split_once('.').map_or(part, |(whole, _)| whole);
        let fits = (1..=2).contains(&whole.len())
            && whole.bytes().all(|b| b.is_ascii_digit())
            && (whole.len() == 1 || whole.as_bytes()[0] < b'6');
        if !fits {
            return false;
        }
    }
    count > 0
}

/// `Z` or `+07:00`.
fn is_zone(text: &str) -> bool {
    let digit = |i: usize| text.as_bytes()[i].is_ascii_digit();
    text == "Z"
        || (text.len() == 6 && digit(1) && digit(2) && &text[3..4] == ":" && digit(4) && digit(5))
}

/// `2006-1-2`, `2006-1-2T15:4:5Z`, `2006-1-2 15:4:5.9`.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((text.as_bytes()[at], &text[at + 1..]))),
        None => (text, None),
    };
    let date: Vec<&str> = date.split('-').collect();
    let [year, month, day] = date.as_slice() else {
        return false;
    };
    let number = |s: &str, max: u32| {
        (1..=2).contains(&s.len())
            && s.bytes().all(|b| b.is_ascii_digit())
            && s.parse::<u32>().is_ok_and(|n| n <= max)
    };
    let is_date = year.len() == 4
        && year.bytes().all(|b| b.is_ascii_digit())
        && number(month, 12)
        && number(day, 31);
    let Some((separator, time)) = time.filter(|_| is_date) else {
        return is_date;
    };
    let zone = time.find(['Z', '+', '-']);
    if zone.is_some() == (separator == b' ') {
        return false;
    }
    if !zone.is_none_or(|at| is_zone(&time[at..])) {
        return false;
    }
    let clock = &time[..zone.unwrap_or(time.len())];
    let clock = clock.split_once('.').map_or(clock, |(clock, _)| clock);
    let clock: Vec<&str> = clock.split(':').collect();
    matches!(clock.as_slice(), [h, m, s] if number(h, 23) && number(m, 59) && number(s, 59))
}
