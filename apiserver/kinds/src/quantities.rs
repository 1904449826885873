//! Amounts of resources (`cpu: 500m`, `memory: 1Gi`), as the rules of kinds need them.

use crate::value::entries;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const NANO: i128 = 1_000_000_000;
const MILLI_IN_NANO: i128 = 1_000_000;
/// Amounts are kept below this many units, so that sums of them never overflow.
const UNITS_MAX: i128 = i64::MAX as i128;

/// An exact amount; 10⁻⁹ is the smallest unit, as in Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount {
    nano: i128,
    binary: bool,
}

impl Amount {
    pub(crate) const ZERO: Amount = Amount {
        nano: 0,
        binary: false,
    };

    /// Reads a quantity; `None` if it is malformed. What is finer than a nano is rounded up.
    pub(crate) fn parse(text: &str) -> Option<Amount> {
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = digits
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(digits.len());
        let (number, suffix) = digits.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return None;
        }
        let (factor, binary) = suffix_factor(suffix)?;
        let nano = scaled(whole, fraction, factor)?;
        Some(Amount {
            nano: if negative { -nano } else { nano },
            binary,
        })
    }

    pub(crate) fn of(value: &Value) -> Option<Amount> {
        match value {
            Value::String(text) => Amount::parse(text),
            Value::Number(number) => Amount::parse(&number.to_string()),
            _ => None,
        }
    }

    pub(crate) fn plus(self, other: Amount) -> Amount {
        let nano = (self.nano + other.nano).min(UNITS_MAX * NANO);
        let binary = if self.nano == 0 {
            other.binary
        } else {
            self.binary
        };
        Amount { nano, binary }
    }

    pub(crate) fn is_positive(self) -> bool {
        self.nano > 0
    }

    /// The amount without its unit's style, to compare values.
    pub(crate) fn value(self) -> i128 {
        self.nano
    }

    /// Canonical text: the largest unit that needs no fraction.
    pub(crate) fn text(self) -> String {
        if self.nano == 0 {
            return "0".to_owned();
        }
        if self.binary && self.nano % NANO == 0 && self.nano.abs() >= 1024 * NANO {
            return binary_text(self.nano / NANO);
        }
        let mut mantissa = self.nano;
        for suffix in ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"] {
            if mantissa % 1000 != 0 || suffix == "E" {
                return format!("{mantissa}{suffix}");
            }
            mantissa /= 1000;
        }
        mantissa.to_string()
    }

    fn rounded_up_to_milli(self) -> Amount {
        let down = self.nano.div_euclid(MILLI_IN_NANO);
        let up = if self.nano.rem_euclid(MILLI_IN_NANO) == 0 {
            down
        } else {
            down + 1
        };
        Amount {
            nano: up * MILLI_IN_NANO,
            ..self
        }
    }
}

fn binary_text(units: i128) -> String {
    let mut mantissa = units;
    for suffix in ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
        if mantissa % 1024 != 0 || suffix == "Ei" {
            return format!("{mantissa}{suffix}");
        }
        mantissa /= 1024;
    }
    mantissa.to_string()
}

/// The factor of a suffix in nanos, and whether it is a power of two.
fn suffix_factor(suffix: &str) -> Option<(i128, bool)> {
    let decimal = |power: u32| 10i128.checked_pow(power).map(|factor| (factor, false));
    let binary = |power: u32| Some((NANO << (10 * power), true));
    match suffix {
        "n" => decimal(0),
        "u" => decimal(3),
        "m" => decimal(6),
        "" => decimal(9),
        "k" => decimal(12),
        "M" => decimal(15),
        "G" => decimal(18),
        "T" => decimal(21),
        "P" => decimal(24),
        "E" => decimal(27),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            decimal(u32::try_from(exponent.checked_add(9)?).ok()?.min(30))
        }
    }
}

fn scaled(whole: &str, fraction: &str, factor: i128) -> Option<i128> {
    let most = UNITS_MAX * NANO;
    let mut nano: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().unwrap_or(most)
    };
    nano = nano.saturating_mul(factor).min(most);
    let mut place = factor;
    let mut rest = false;
    for digit in fraction.bytes() {
        let digit = i128::from(digit.checked_sub(b'0')?);
        rest |= digit * place % 10 != 0;
        nano += digit * place / 10;
        place /= 10;
        rest |= place == 0 && digit != 0;
    }
    Some((nano + i128::from(rest)).min(most))
}

/// Rounds every amount of a resource list up to a thousandth, which the API keeps as its precision.
pub(crate) fn round_up_to_milli(list: &mut Value) {
    let Some(amounts) = list.as_object_mut() else {
        return;
    };
    for value in amounts.values_mut() {
        if let Some(amount) = Amount::of(value) {
            let rounded = amount.rounded_up_to_milli();
            if rounded != amount {
                *value = rounded.text().into();
            }
        }
    }
}

/// Resource amounts by name, for sums and maxima.
pub(crate) type Amounts = BTreeMap<String, Amount>;

pub(crate) fn amounts(value: &Value, path: &str) -> Amounts {
    let named = |(name, value): (&String, &Value)| Some((name.clone(), Amount::of(value)?));
    entries(value, path).filter_map(named).collect()
}

pub(crate) fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let entry = sum.entry(name.clone()).or_insert(Amount::ZERO);
        *entry = entry.plus(*amount);
    }
}

pub(crate) fn raise(most: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let entry = most.entry(name.clone()).or_insert(*amount);
        if entry.value() < amount.value() {
            *entry = *amount;
        }
    }
}

/// Adds the amounts that are not there yet to a resource list.
pub(crate) fn fill(list: &mut Map<String, Value>, amounts: &Amounts) {
    for (name, amount) in amounts {
        list.entry(name.as_str())
            .or_insert_with(|| amount.text().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_are_exact_and_canonical() {
        for (text, canonical) in [
            ("1", "1"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1024", "1024"),
            ("1024Ki", "1Mi"),
            ("1e3", "1k"),
            ("2E", "2E"),
            ("1500k", "1500k"),
            ("-3", "-3"),
            ("0Gi", "0"),
            ("0.1n", "1n"),
        ] {
            assert_eq!(Amount::parse(text).unwrap().text(), canonical, "{text}");
        }
        for wrong in ["", "x", "1x", "1.2.3", "-", "e3", "1e"] {
            assert_eq!(Amount::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn lists_are_rounded_up_to_thousandths() {
        let mut list = json!({"cpu": "100u", "memory": "1Gi", "x": "1500u"});
        round_up_to_milli(&mut list);
        assert_eq!(list, json!({"cpu": "1m", "memory": "1Gi", "x": "2m"}));
    }
}
