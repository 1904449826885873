//! When the requests of an open loop are due.
//!
//! The plan is fixed before the first request: a slow answer delays nothing and later requests keep
//! their intended time, so waiting that a real caller would feel is not hidden ("coordinated omission").

const SECOND_NS: u128 = 1_000_000_000;

/// Evenly spaced intended start times.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    start_ns: u64,
    rate_per_s: u64,
    next: u64,
}

impl Schedule {
    /// `rate_per_s` of 0 is taken as 1.
    pub(crate) fn new(start_ns: u64, rate_per_s: u64) -> Self {
        Self {
            start_ns,
            rate_per_s: rate_per_s.max(1),
            next: 0,
        }
    }

    /// The intended time of request `n`, exact to the nanosecond however large `n` is.
    fn intended(&self, n: u64) -> u64 {
        self.start_ns + (u128::from(n) * SECOND_NS / u128::from(self.rate_per_s)) as u64
    }

    /// When the next request is due.
    pub(crate) fn next_due(&self) -> u64 {
        self.intended(self.next)
    }

    /// Takes the next request if it is due, and returns its intended time.
    pub(crate) fn take(&mut self, now_ns: u64) -> Option<u64> {
        let due = self.next_due();
        if due > now_ns {
            return None;
        }
        self.next += 1;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_drifts() {
        let mut s = Schedule::new(1_000, 3);
        assert_eq!(s.take(999), None);
        assert_eq!(s.take(1_000), Some(1_000));
        assert_eq!(s.take(1_000), None);
        assert_eq!(s.next_due(), 333_334_333);
        for _ in 1..3_000_000u64 {
            assert!(s.take(u64::MAX).is_some());
        }
        assert_eq!(s.next_due(), 1_000 + 1_000_000 * 1_000_000_000);
    }

    #[test]
    fn a_stall_is_caught_up_with_the_intended_times() {
        let mut s = Schedule::new(0, 1_000);
        assert_eq!(s.take(0), Some(0));
        // The caller comes back 10 ms late: ten requests are due, each with its own time.
        let late: Vec<u64> = std::iter::from_fn(|| s.take(10_000_000)).collect();
        assert_eq!(late, (1..=10).map(|n| n * 1_000_000).collect::<Vec<u64>>());
    }
}
