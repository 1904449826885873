//! Reading quantities.

use super::suffix::{Factor, interpret};
use super::{Decimal, Format, Quantity};
use serde_json::{Number, Value};
use std::fmt;
use std::str::FromStr;

/// Numbers smaller than this power of ten are rounded up to it.
const NANO: i32 = -9;
/// Digits an i128 surely holds.
const DIGITS_MAX: usize = 38;
/// Digits an i64 surely holds.
const I64_DIGITS: usize = 18;

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantityError {
    /// It does not look like one.
    Format,
    /// The number cannot be read, or does not fit.
    Numeric,
    /// The unit is unknown.
    Suffix,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QuantityError::Format => {
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            }
            QuantityError::Numeric => "unable to parse numeric part of quantity",
            QuantityError::Suffix => "unable to parse quantity's suffix",
        })
    }
}

impl std::error::Error for QuantityError {}

/// The parts of a quantity's text.
struct Parts<'a> {
    negative: bool,
    /// Digits before the point, without leading zeros but never empty.
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
    /// Whether there was any digit before the suffix.
    has_digits: bool,
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = unsigned.split_at(digits(unsigned));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let letters = suffix
        .bytes()
        .take_while(|b| b"eEinumkKMGTP".contains(b))
        .count();
    let exponent = &suffix[letters..];
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if digits(exponent) != exponent.len() {
        return Err(QuantityError::Format);
    }
    let significant = whole.trim_start_matches('0');
    Ok(Parts {
        negative,
        whole: if significant.is_empty() {
            "0"
        } else {
            significant
        },
        fraction,
        suffix,
        has_digits: !(whole.is_empty() && fraction.is_empty()),
    })
}

impl Quantity {
    /// Reads a quantity: a sign, digits with at most one point, then a unit or an exponent.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let parts = split(text)?;
        let (factor, mut format) = interpret(parts.suffix).ok_or(QuantityError::Suffix)?;
        // Upstream takes a lone unit for zero, except where its slow path reads the number.
        let slow = matches!(factor, Factor::Two(50..) | Factor::Ten(..NANO));
        if slow && !parts.has_digits {
            return Err(QuantityError::Numeric);
        }
        let mut amount = magnitude(&parts, factor)?.round_up(NANO).0;
        if format == Format::BinarySi {
            amount = amount.min(Decimal::new(i128::from(i64::MAX), 0));
            if amount.signum() > 0 && amount < Decimal::new(1, 0) {
                format = Format::DecimalSi;
            }
        }
        if parts.negative {
            amount = amount.negated();
        }
        let keeps_text = text == "0" || keeps_text(&parts, factor);
        Ok(Quantity {
            amount,
            format,
            text: keeps_text.then(|| text.into()),
        })
    }

    /// Reads a quantity from a JSON string or number.
    pub fn from_value(value: &Value) -> Result<Quantity, QuantityError> {
        match value {
            Value::String(text) => Quantity::parse(text),
            Value::Number(number) => Quantity::parse(&number_text(number)),
            _ => Err(QuantityError::Format),
        }
    }
}

/// A number's text without an exponent or a needless point.
fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => format!("{float}"),
        _ => number.to_string(),
    }
}

fn magnitude(parts: &Parts<'_>, factor: Factor) -> Result<Decimal, QuantityError> {
    let fraction = parts.fraction.trim_end_matches('0');
    let room = DIGITS_MAX.saturating_sub(parts.whole.len());
    let kept = &fraction[..fraction.len().min(room)];
    let mut mantissa: i128 = 0;
    for digit in parts.whole.bytes().chain(kept.bytes()) {
        mantissa = match mantissa
            .checked_mul(10)
            .and_then(|m| m.checked_add(i128::from(digit - b'0')))
        {
            Some(mantissa) => mantissa,
            // More than any binary quantity may be.
            None if matches!(factor, Factor::Two(_)) => i128::from(i64::MAX),
            None => return Err(QuantityError::Numeric),
        };
    }
    if kept.len() < fraction.len() {
        // What is cut is not zero, and rounding is away from zero.
        mantissa = mantissa.saturating_add(1);
    }
    let exponent = -i32::try_from(kept.len()).map_err(|_| QuantityError::Numeric)?;
    match factor {
        Factor::Ten(power) => Ok(Decimal::new(mantissa, exponent + power)),
        Factor::Two(power) => {
            let reduced = Decimal::new(mantissa, exponent);
            match reduced.mantissa().checked_mul(1i128 << power) {
                Some(product) => Ok(Decimal::new(product, reduced.exponent())),
                None if reduced > Decimal::new(i128::from(i64::MAX >> power), 0) => {
                    Ok(Decimal::new(i128::from(i64::MAX), 0))
                }
                None => Err(QuantityError::Numeric),
            }
        }
    }
}

/// Whether upstream prints the text as it came instead of the canonical form. It guesses on its fast path that a
/// text is canonical already, so `1.500` stays and `1.50` becomes `1500m`; clients compare what they sent.
fn keeps_text(parts: &Parts<'_>, factor: Factor) -> bool {
    let digits = parts.whole.len() + parts.fraction.len();
    let shifted = || parts.whole.bytes().chain(parts.fraction.bytes());
    let value = || -> Option<i64> {
        shifted().try_fold(0i64, |n, d| {
            n.checked_mul(10)?.checked_add(i64::from(d - b'0'))
        })
    };
    match factor {
        Factor::Two(power) => {
            let room = 14 - (power as usize * 3 / 10).min(14);
            let Some(value) = value().filter(|_| parts.fraction.is_empty() && digits <= room)
            else {
                return false;
            };
            value.checked_mul(1i64 << power).is_some() && value & 7 != 0
        }
        Factor::Ten(power) => {
            let exponent = i64::from(power) - parts.fraction.len() as i64;
            digits <= I64_DIGITS
                && exponent >= i64::from(NANO)
                && exponent % 3 == 0
                && !parts.whole.starts_with('0')
                && !(digits >= 3 && shifted().skip(digits - 3).all(|d| d == b'0'))
        }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Quantity, QuantityError> {
        Quantity::parse(text)
    }
}
