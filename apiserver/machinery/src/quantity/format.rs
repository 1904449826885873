//! Printing quantities.

use super::suffix::{binary_suffix, decimal_suffix};
use super::{Decimal, Format, Quantity};
use std::fmt;

/// The largest power of ten that has a letter.
const EXA: i32 = 18;

impl Quantity {
    /// The text upstream prints: no fraction, the largest unit that keeps all digits; or the text as parsed where
    /// upstream keeps that.
    pub fn canonical(&self) -> String {
        self.to_string()
    }

    fn effective_format(&self) -> Format {
        if self.format != Format::BinarySi {
            return self.format;
        }
        let small = self.amount > Decimal::new(-1024, 0) && self.amount < Decimal::new(1024, 0);
        if small || self.amount.exponent() < 0 {
            Format::DecimalSi
        } else {
            Format::BinarySi
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        if self.amount.signum() == 0 {
            return f.write_str("0");
        }
        match self.effective_format() {
            Format::BinarySi => write_binary(f, self.amount),
            Format::DecimalSi => write_decimal(f, self.amount),
            Format::DecimalExponent => write_exponent(f, self.amount),
        }
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, amount: Decimal) -> fmt::Result {
    let Some(mut whole) = amount.mantissa_at(0) else {
        return write_decimal(f, amount);
    };
    let mut power = 0;
    while whole % 1024 == 0 && power < 6 {
        whole /= 1024;
        power += 1;
    }
    write!(f, "{whole}{}", binary_suffix(power).unwrap_or_default())
}

/// The power of ten as a multiple of three, at most the largest that has a letter.
fn unit_power(amount: Decimal) -> i32 {
    let power = amount.exponent();
    power - power.rem_euclid(3)
}

fn write_scaled(f: &mut fmt::Formatter<'_>, amount: Decimal, power: i32) -> fmt::Result {
    match amount.mantissa_at(power) {
        Some(number) => write!(f, "{number}"),
        None => {
            let zeros = usize::try_from(amount.exponent() - power).unwrap_or_default();
            write!(f, "{}{}", amount.mantissa(), "0".repeat(zeros.min(1024)))
        }
    }
}

fn write_decimal(f: &mut fmt::Formatter<'_>, amount: Decimal) -> fmt::Result {
    let power = unit_power(amount).min(EXA);
    if amount.exponent() > EXA + 1000 {
        return write_exponent(f, amount);
    }
    write_scaled(f, amount, power)?;
    f.write_str(decimal_suffix(power).unwrap_or_default())
}

fn write_exponent(f: &mut fmt::Formatter<'_>, amount: Decimal) -> fmt::Result {
    let power = unit_power(amount);
    write_scaled(f, amount, power)?;
    if power == 0 {
        return Ok(());
    }
    write!(f, "e{power}")
}
