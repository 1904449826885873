//! The units of quantities.

/// How a quantity is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `12e6`.
    DecimalExponent,
    /// `12Mi`, powers of 1024.
    BinarySi,
    /// `12M`, powers of 1000.
    DecimalSi,
}

const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

const BINARY: [(&str, u32); 6] = [
    ("Ki", 10),
    ("Mi", 20),
    ("Gi", 30),
    ("Ti", 40),
    ("Pi", 50),
    ("Ei", 60),
];

/// What a suffix multiplies by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Factor {
    /// 10 to this power.
    Ten(i32),
    /// 2 to this power.
    Two(u32),
}

/// What a suffix means; None where it is none.
pub(super) fn interpret(suffix: &str) -> Option<(Factor, Format)> {
    if let Some((_, power)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Some((Factor::Ten(*power), Format::DecimalSi));
    }
    if let Some((_, power)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        return Some((Factor::Two(*power), Format::BinarySi));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let power: i64 = exponent.parse().ok()?;
    // Beyond this no number fits anyway.
    let power = i32::try_from(power.clamp(-1_000_000, 1_000_000)).ok()?;
    Some((Factor::Ten(power), Format::DecimalExponent))
}

/// The suffix for 10 to a power that is a multiple of three; None where SI has no letter for it.
pub(super) fn decimal_suffix(power: i32) -> Option<&'static str> {
    DECIMAL.iter().find(|(_, p)| *p == power).map(|(s, _)| *s)
}

/// The suffix for 1024 to a power.
pub(super) fn binary_suffix(power_of_1024: u32) -> Option<&'static str> {
    match power_of_1024 {
        0 => Some(""),
        n => BINARY.get(n as usize - 1).map(|(s, _)| *s),
    }
}
