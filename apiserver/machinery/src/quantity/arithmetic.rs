//! Comparing and computing.

use super::{Decimal, Format, Quantity};
use std::cmp::Ordering;

impl Quantity {
    /// Zero of a notation.
    pub fn zero(format: Format) -> Quantity {
        Quantity::of(Decimal::ZERO, format)
    }

    /// A whole number.
    pub fn from_i64(number: i64, format: Format) -> Quantity {
        Quantity::of(Decimal::new(i128::from(number), 0), format)
    }

    /// A number of thousandths, as CPU is counted.
    pub fn from_milli(milli: i64) -> Quantity {
        Quantity::of(Decimal::new(i128::from(milli), -3), Format::DecimalSi)
    }

    pub(super) fn of(amount: Decimal, format: Format) -> Quantity {
        Quantity {
            amount,
            format,
            text: None,
        }
    }

    /// The exact number.
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// The notation.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether the number is zero.
    pub fn is_zero(&self) -> bool {
        self.amount.signum() == 0
    }

    /// −1, 0 or 1.
    pub fn signum(&self) -> i32 {
        self.amount.signum()
    }

    /// The number rounded away from zero to a whole one, as `Value()` upstream; saturates at i64's bounds.
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// The number in thousandths, rounded away from zero, as `MilliValue()` upstream; saturates at i64's bounds.
    pub fn milli_value(&self) -> i64 {
        self.scaled(-3)
    }

    fn scaled(&self, exponent: i32) -> i64 {
        let bound = if self.amount.signum() < 0 {
            i64::MIN
        } else {
            i64::MAX
        };
        let rounded = self.amount.round_up(exponent).0;
        let mantissa = rounded.mantissa_at(exponent);
        mantissa
            .and_then(|m| i64::try_from(m).ok())
            .unwrap_or(bound)
    }

    /// The number if it is whole and fits.
    pub fn as_i64(&self) -> Option<i64> {
        i64::try_from(self.amount.mantissa_at(0)?).ok()
    }

    /// The sum, in this quantity's notation unless it is zero; None where it does not fit.
    pub fn checked_add(&self, other: &Quantity) -> Option<Quantity> {
        let sum = self.amount.checked_add(other.amount)?;
        Some(Quantity::of(sum, self.dominant_format(other)))
    }

    /// The difference, in this quantity's notation unless it is zero; None where it does not fit.
    pub fn checked_sub(&self, other: &Quantity) -> Option<Quantity> {
        let difference = self.amount.checked_add(other.amount.negated())?;
        Some(Quantity::of(difference, self.dominant_format(other)))
    }

    /// The product with a whole number; None where it does not fit.
    pub fn checked_mul(&self, factor: i64) -> Option<Quantity> {
        Some(Quantity::of(self.amount.checked_mul(factor)?, self.format))
    }

    /// Rounds away from zero to a multiple of `10^exponent`. Says whether nothing was lost.
    pub fn round_up(&mut self, exponent: i32) -> bool {
        let (rounded, exact) = self.amount.round_up(exponent);
        if !exact {
            self.amount = rounded;
            self.text = None;
        }
        exact
    }

    fn dominant_format(&self, other: &Quantity) -> Format {
        if self.is_zero() {
            other.format
        } else {
            self.format
        }
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        self.amount.cmp(&other.amount)
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.amount == other.amount
    }
}

impl Eq for Quantity {}
