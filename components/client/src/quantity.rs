//! Quantities as whole numbers.

use k8s_openapi::apimachinery::pkg::api::resource;

/// In whole units, rounded up; what is no quantity counts as none.
#[must_use]
pub fn whole(quantity: &resource::Quantity) -> i64 {
    scaled(&quantity.0, 1).unwrap_or(0)
}

/// In thousandths, rounded up.
#[must_use]
pub fn milli(quantity: &resource::Quantity) -> i64 {
    scaled(&quantity.0, 1000).unwrap_or(0)
}

/// The number times `scale`, rounded away from zero; saturates at i64's bounds.
fn scaled(text: &str, scale: i128) -> Option<i64> {
    let end = text
        .find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (factor, divisor) = factor(suffix)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let negative = whole.starts_with('-');
    let whole = whole.trim_start_matches(['+', '-']);
    // Digits beyond these cannot matter: what is smaller than one billionth is rounded up anyway.
    let fraction = fraction.get(..fraction.len().min(12))?;
    let digits = format!("{whole}{fraction}");
    let mantissa: i128 = digits.parse().ok()?;
    let below = divisor.checked_mul(10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?;
    let above = mantissa.checked_mul(factor)?.checked_mul(scale);
    let most = i128::from(i64::MAX);
    let value = above.map_or(most, |above| (above + below - 1) / below);
    let value = i64::try_from(value.min(most)).unwrap_or(i64::MAX);
    Some(if negative { -value } else { value })
}

/// What a suffix multiplies and divides by.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    let decimal = |exponent: i32| -> Option<(i128, i128)> {
        let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
        Some(if exponent < 0 { (1, power) } else { (power, 1) })
    };
    let binary = |exponent: u32| Some((1_i128 << exponent, 1));
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        other => {
            let exponent = other.strip_prefix(['e', 'E'])?;
            decimal(exponent.parse().ok().filter(|e: &i32| e.abs() <= 30)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_rounded_up() {
        for (text, whole, thousandths) in [
            ("0", 0, 0),
            ("1", 1, 1000),
            ("100m", 1, 100),
            ("1.5", 2, 1500),
            ("0.0001", 1, 1),
            ("1Ki", 1024, 1_024_000),
            ("1.5Gi", 1_610_612_736, 1_610_612_736_000),
            ("12e6", 12_000_000, 12_000_000_000),
            ("1E", 1_000_000_000_000_000_000, i64::MAX),
            ("16Ei", i64::MAX, i64::MAX),
            ("-1", -1, -1000),
            ("", 0, 0),
            ("x", 0, 0),
        ] {
            let given = resource::Quantity(text.to_owned());
            assert_eq!(self::whole(&given), whole, "{text}");
            assert_eq!(milli(&given), thousandths, "{text}");
        }
    }
}
