//! Latency histograms.

use hdrhistogram::Histogram;

use crate::limits::{LATENCY_DIGITS, LATENCY_NS_MAX, LATENCY_NS_MIN};

/// Latencies in nanoseconds; what is out of bounds counts at the bound.
#[derive(Debug, Clone)]
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, LATENCY_DIGITS);
        Self(histogram.expect("the bounds are constants and valid"))
    }

    #[inline]
    pub(crate) fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns.max(LATENCY_NS_MIN));
    }

    /// Adds everything `other` has recorded.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0
            .add(&other.0)
            .expect("both histograms have the same bounds");
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The quantile (0 to 1) in microseconds, 0 if nothing was recorded.
    pub(crate) fn us(&self, quantile: f64) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }

    pub(crate) fn max_us(&self) -> f64 {
        self.0.max() as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_equals_recording_together() {
        let (mut a, mut b, mut both) = (Latency::new(), Latency::new(), Latency::new());
        for i in 1..=10_000u64 {
            let ns = i * 1_000;
            if i % 3 == 0 {
                a.record(ns)
            } else {
                b.record(ns)
            }
            both.record(ns);
        }
        a.merge(&b);
        assert_eq!(a.count(), 10_000);
        for q in [0.1, 0.5, 0.99, 0.999, 1.0] {
            assert_eq!(a.us(q), both.us(q));
        }
        assert!((a.us(0.99) / 9_900.0 - 1.0).abs() < 0.002);
    }

    #[test]
    fn out_of_bounds_is_kept_at_the_bound() {
        let mut l = Latency::new();
        assert_eq!(l.us(0.5), 0.0);
        l.record(0);
        l.record(u64::MAX / 2);
        assert_eq!(l.count(), 2);
        assert!(l.us(0.5) <= 1.1);
        assert!(l.max_us() >= 119_000_000.0);
    }
}
