//! Times that were measured.

use std::fmt;
use std::time::Duration;

/// Sorted.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<Duration>);

impl Figures {
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest time that so large a share (0 to 1) did not exceed; zero if there is none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        let at = rank.clamp(1, self.0.len().max(1)) - 1;
        self.0.get(at).copied().unwrap_or_default()
    }

    #[must_use]
    pub fn max(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

impl FromIterator<Duration> for Figures {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut all: Vec<Duration> = times.into_iter().collect();
        all.sort_unstable();
        Self(all)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99] = [0.5, 0.99].map(|share| seconds(self.quantile(share)));
        write!(f, "{p50} / {p99} / {}", seconds(self.max()))
    }
}

/// As people read it: `12 ms`, `3.4 s`.
pub(crate) fn seconds(time: Duration) -> String {
    match time.as_millis() {
        0..1_000 => format!("{} ms", time.as_millis()),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let figures: Figures = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(figures.quantile(0.5), Duration::from_millis(50));
        assert_eq!(figures.quantile(0.99), Duration::from_millis(99));
        assert_eq!(figures.to_string(), "50 ms / 99 ms / 100 ms");
        assert_eq!(Figures::default().to_string(), "0 ms / 0 ms / 0 ms");
        let one: Figures = [Duration::from_millis(1_250)].into_iter().collect();
        assert_eq!(one.to_string(), "1.2 s / 1.2 s / 1.2 s");
    }
}
