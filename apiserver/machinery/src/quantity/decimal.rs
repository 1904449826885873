//! A decimal number of fixed width, exact.

use std::cmp::Ordering;

/// `mantissa · 10^exponent`. Kept without trailing zeros in the mantissa, so equal numbers have equal parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    mantissa: i128,
    exponent: i32,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Decimal = Decimal {
        mantissa: 0,
        exponent: 0,
    };

    /// `mantissa · 10^exponent`.
    pub fn new(mantissa: i128, exponent: i32) -> Decimal {
        let (mut mantissa, mut exponent) = (mantissa, exponent);
        if mantissa == 0 {
            return Decimal::ZERO;
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent = exponent.saturating_add(1);
        }
        Decimal { mantissa, exponent }
    }

    /// The mantissa, without trailing zeros.
    pub fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// The power of ten.
    pub fn exponent(self) -> i32 {
        self.exponent
    }

    /// −1, 0 or 1.
    pub fn signum(self) -> i32 {
        match self.mantissa.cmp(&0) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }

    /// The mantissa at another exponent; None where digits would be lost or it does not fit.
    pub fn mantissa_at(self, exponent: i32) -> Option<i128> {
        if self.mantissa == 0 {
            return Some(0);
        }
        let shift = self.exponent.checked_sub(exponent)?;
        let shift = u32::try_from(shift).ok()?;
        self.mantissa.checked_mul(10i128.checked_pow(shift)?)
    }

    /// The number rounded away from zero to a multiple of `10^exponent`, and whether it was one already.
    pub fn round_up(self, exponent: i32) -> (Decimal, bool) {
        if self.exponent >= exponent || self.mantissa == 0 {
            return (self, true);
        }
        let shift = self.exponent.abs_diff(exponent);
        let quotient = match 10i128.checked_pow(shift) {
            // Without trailing zeros the division always leaves a remainder.
            Some(divisor) => self.mantissa / divisor + self.mantissa.signum(),
            None => self.mantissa.signum(),
        };
        (Decimal::new(quotient, exponent), false)
    }

    /// The sum; None where it does not fit.
    pub fn checked_add(self, other: Decimal) -> Option<Decimal> {
        if self.mantissa == 0 {
            return Some(other);
        }
        if other.mantissa == 0 {
            return Some(self);
        }
        let exponent = self.exponent.min(other.exponent);
        let sum = self
            .mantissa_at(exponent)?
            .checked_add(other.mantissa_at(exponent)?)?;
        Some(Decimal::new(sum, exponent))
    }

    /// The product with a whole number; None where it does not fit.
    pub fn checked_mul(self, factor: i64) -> Option<Decimal> {
        let product = self.mantissa.checked_mul(i128::from(factor))?;
        Some(Decimal::new(product, self.exponent))
    }

    /// The number with the other sign. A mantissa never is `i128::MIN`: parsing and arithmetic bound it.
    pub fn negated(self) -> Decimal {
        Decimal {
            mantissa: self.mantissa.saturating_neg(),
            exponent: self.exponent,
        }
    }

    /// How many digits stand before the decimal point: the size's order where exact alignment would not fit.
    fn magnitude(self) -> i64 {
        let digits = self
            .mantissa
            .unsigned_abs()
            .checked_ilog10()
            .map_or(0, i64::from);
        digits + i64::from(self.exponent)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        let signs = self.signum().cmp(&other.signum());
        if signs != Ordering::Equal || self.mantissa == 0 {
            return signs;
        }
        let exponent = self.exponent.min(other.exponent);
        match (self.mantissa_at(exponent), other.mantissa_at(exponent)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // One side does not fit 38 digits at the other's exponent, so their orders differ.
            _ => {
                let by_size = self.magnitude().cmp(&other.magnitude());
                if self.mantissa < 0 {
                    by_size.reverse()
                } else {
                    by_size
                }
            }
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
