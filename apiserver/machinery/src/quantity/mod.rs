//! Quantities such as `500m`, `1.5Gi` and `12e6`: exact numbers with a unit, printed in one canonical way.

mod arithmetic;
mod decimal;
mod format;
mod parse;
mod suffix;

pub use decimal::Decimal;
pub use parse::QuantityError;
pub use suffix::Format;

/// A number with the notation it is printed in.
///
/// Numbers are exact to one billionth (smaller ones are rounded away from zero when parsed) and below about 10²⁹;
/// Kubernetes caps binary ones at 2⁶³−1. Equality and order look at the number alone: `1` equals `1000m`.
#[derive(Clone, Debug)]
pub struct Quantity {
    amount: Decimal,
    format: Format,
    /// The text as parsed, where upstream prints it as it came.
    text: Option<Box<str>>,
}

#[cfg(test)]
mod tests;
