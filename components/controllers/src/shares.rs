//! Numbers that may be written as a percentage of others.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Which way a percentage goes that is no whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    Up,
    Down,
}

/// The number that `value` means for `total`. What is neither a number nor a percentage, which validation does not
/// let through, is zero.
pub(crate) fn scaled(value: &IntOrString, total: i32, round: Round) -> i32 {
    let percent = match value {
        IntOrString::Int(number) => return *number,
        IntOrString::String(text) => text.strip_suffix('%').and_then(|text| text.parse().ok()),
    };
    let part = i64::from(total) * percent.unwrap_or(0_i64);
    let number = match round {
        Round::Up => part.div_euclid(100) + i64::from(part.rem_euclid(100) > 0),
        Round::Down => part.div_euclid(100),
    };
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_rounded_as_asked() {
        let text = |text: &str| IntOrString::String(text.to_owned());
        for (value, total, up, down) in [
            (IntOrString::Int(3), 10, 3, 3),
            (text("25%"), 10, 3, 2),
            (text("25%"), 4, 1, 1),
            (text("0%"), 4, 0, 0),
            (text("1%"), 1, 1, 0),
            (text("100%"), 7, 7, 7),
            (text("nonsense"), 7, 0, 0),
        ] {
            assert_eq!(scaled(&value, total, Round::Up), up, "{value:?} of {total}");
            assert_eq!(
                scaled(&value, total, Round::Down),
                down,
                "{value:?} of {total}"
            );
        }
    }
}
