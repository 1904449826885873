//! What people write, checked before anything is asked of a server.

use std::str::FromStr;

use crate::limits::{LABEL_MAX, NODES_MAX, PREFIX_MAX};

/// `name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub name: String,
    pub value: String,
}

/// The name is one of a label or a resource.
impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is not name=value"))?;
        let (prefix, own) = name.rsplit_once('/').unwrap_or(("example", name));
        let prefixed = !prefix.contains('/') && is_name(&prefix.replace('.', "-"));
        match prefixed && is_name(own) && (value.is_empty() || is_name(value)) {
            true => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            false => Err(format!(
                "in {text:?} name and value must be letters, digits, '-', '_' and '.', {LABEL_MAX} at most, \
                 and begin and end with a letter or a digit"
            )),
        }
    }
}

fn is_name(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    bytes.len() <= LABEL_MAX && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
}

/// How many nodes.
///
/// # Errors
/// Says how many there may be.
pub fn nodes(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (1..=NODES_MAX).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a number from 1 to {NODES_MAX}"))
}

/// What the names of nodes begin with.
///
/// # Errors
/// Says what it has to be.
pub fn name_prefix(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let begins = text.bytes().next();
    let begins = begins.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let dots = text.ends_with('.') || ["..", ".-", "-."].iter().any(|wrong| text.contains(wrong));
    match begins && !dots && text.len() <= PREFIX_MAX && text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is not the beginning of a name: lower case letters, digits, '-' and '.', {PREFIX_MAX} at most"
        )),
    }
}

/// An amount that is not negative, as `32`, `500m`, `256Gi` or `1e3`.
///
/// # Errors
/// Says what it is not.
pub fn quantity(text: &str) -> Result<String, String> {
    const UNITS: [&str; 15] = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi",
    ];
    let digits = text
        .bytes()
        .take_while(|b| b.is_ascii_digit() || *b == b'.');
    let (number, unit) = text.split_at(digits.count());
    let exponent = unit.strip_prefix(['e', 'E']).map(i8::from_str);
    let known = UNITS.contains(&unit) || unit == "Ei" || matches!(exponent, Some(Ok(_)));
    match number.parse::<f64>().is_ok() && known {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is not a quantity such as 32, 500m or 256Gi"
        )),
    }
}

/// A share from 0 to 1.
///
/// # Errors
/// Says what it is not.
pub fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok();
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text:?} is not a number from 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_would_refuse_is_refused_at_once() {
        for text in ["1", "20000"] {
            assert!(nodes(text).is_ok(), "{text}");
        }
        for text in ["0", "20001", "-1", "many"] {
            assert!(nodes(text).is_err(), "{text}");
        }
        for text in ["a=b", "disk=", "example.com/gpu=2", "A_b.c=D-1"] {
            assert!(text.parse::<Pair>().is_ok(), "{text}");
        }
        for text in ["a", "=b", "-a=b", "a=b c", "a/b/c=d", "/a=b", "a=b="] {
            assert!(text.parse::<Pair>().is_err(), "{text}");
        }
        for text in ["fake-", "n", "zone1.node-"] {
            assert!(name_prefix(text).is_ok(), "{text}");
        }
        for text in ["", "-a", "Fake-", "a_", "a..b", "a.", &"a".repeat(250)] {
            assert!(name_prefix(text).is_err(), "{text}");
        }
        for text in ["32", "500m", "256Gi", "1.5", "1e3", "2E", "1Ei"] {
            assert!(quantity(text).is_ok(), "{text}");
        }
        for text in ["", "-1", "many", "1.2.3", "1gb", "Gi", "1e", "."] {
            assert!(quantity(text).is_err(), "{text}");
        }
        for text in ["0", "0.5", "1"] {
            assert!(share(text).is_ok(), "{text}");
        }
        for text in ["-0.1", "1.1", "NaN", "half"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
