//! How fast something is used, from how much of it was used at two moments.

use std::collections::HashMap;

/// Between two moments there must be this much, or the rate would be noise. In nanoseconds.
const SPAN_MIN: i64 = 1_000_000_000;

/// By name.
#[derive(Debug, Default)]
pub(super) struct Rates {
    known: HashMap<String, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    at: i64,
    used: u64,
    rate: Option<u64>,
    /// Whether it was seen since the last clean-up.
    fresh: bool,
}

impl Rates {
    /// What is used each second, when `used` in all was seen at a moment in nanoseconds. `None` for what is seen for the
    /// first time.
    pub(super) fn see(&mut self, name: &str, at: i64, used: u64) -> Option<u64> {
        let Some(known) = self.known.get_mut(name) else {
            let known = Known {
                at,
                used,
                rate: None,
                fresh: true,
            };
            self.known.insert(name.to_owned(), known);
            return None;
        };
        known.fresh = true;
        let span = at.saturating_sub(known.at);
        if used < known.used {
            // It began anew.
            (known.at, known.used, known.rate) = (at, used, None);
        } else if span >= SPAN_MIN {
            let more = u128::from(used - known.used) * 1_000_000_000;
            let rate = more / u128::from(span.unsigned_abs());
            known.rate = u64::try_from(rate).ok();
            (known.at, known.used) = (at, used);
        }
        known.rate
    }

    /// Forgets what was not seen since the last time.
    pub(super) fn tidy(&mut self) {
        self.known
            .retain(|_, known| std::mem::take(&mut known.fresh));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_two_moments() {
        const SECOND: i64 = 1_000_000_000;
        let mut rates = Rates::default();
        assert_eq!(rates.see("a", 0, 100), None);
        assert_eq!(rates.see("a", SECOND / 2, 500), None, "too early");
        assert_eq!(
            rates.see("a", 2 * SECOND, 2_000_000_100),
            Some(SECOND as u64)
        );
        assert_eq!(
            rates.see("a", 2 * SECOND + 1, 3_000_000_000),
            Some(SECOND as u64)
        );
        assert_eq!(rates.see("a", 4 * SECOND, 5), None, "it began anew");
        rates.tidy();
        rates.tidy();
        assert_eq!(rates.see("a", 8 * SECOND, 10), None, "forgotten");
    }
}
