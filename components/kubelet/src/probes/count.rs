//! From single checks to a verdict.

use super::verdict::{Purpose, Verdict};

/// Counts checks of one kind in a row.
#[derive(Clone, Debug)]
pub struct Count {
    purpose: Purpose,
    successes: i32,
    failures: i32,
    last: Option<bool>,
    run: i32,
}

impl Count {
    /// With thresholds; what is below 1 counts as 1 success or 3 failures.
    pub fn new(purpose: Purpose, successes: Option<i32>, failures: Option<i32>) -> Self {
        Self {
            purpose,
            successes: successes.unwrap_or(1).max(1),
            failures: failures.filter(|count| *count > 0).unwrap_or(3),
            last: None,
            run: 0,
        }
    }

    /// What is held before the first check.
    pub fn initial(&self) -> Verdict {
        match self.purpose {
            Purpose::Liveness => Verdict::Success,
            Purpose::Readiness => Verdict::Failure,
            Purpose::Startup => Verdict::Unknown,
        }
    }

    /// One more check; a verdict when a threshold is reached.
    pub fn add(&mut self, success: bool) -> Option<Verdict> {
        if self.last == Some(success) {
            self.run = self.run.saturating_add(1);
        } else {
            self.last = Some(success);
            self.run = 1;
        }
        match success {
            true => (self.run >= self.successes).then_some(Verdict::Success),
            false => (self.run >= self.failures).then_some(Verdict::Failure),
        }
    }

    /// Whether after a verdict nothing more is to be checked: the container will be ended, or has started.
    pub fn is_over(&self, verdict: Verdict) -> bool {
        matches!(
            (self.purpose, verdict),
            (Purpose::Startup, Verdict::Success | Verdict::Failure)
                | (Purpose::Liveness, Verdict::Failure)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks as `+` and `-`; verdicts as `s`, `f` and `.` for none.
    #[test]
    fn thresholds_count_checks_in_a_row() {
        let cases = [
            (Purpose::Liveness, 1, 3, "--+---", "..s..f"),
            (Purpose::Readiness, 2, 1, "-++-+", "f.sf."),
            (Purpose::Readiness, 1, 3, "+--+--", "s..s.."),
            (Purpose::Startup, 1, 2, "-+", ".s"),
            (Purpose::Liveness, 0, 0, "---", "..f"),
        ];
        for (purpose, successes, failures, checks, expected) in cases {
            let mut count = Count::new(purpose, Some(successes), Some(failures));
            let found: String = checks
                .chars()
                .map(|check| match count.add(check == '+') {
                    Some(Verdict::Success) => 's',
                    Some(Verdict::Failure) => 'f',
                    _ => '.',
                })
                .collect();
            assert_eq!(
                found, expected,
                "{purpose:?} {successes} {failures} {checks}"
            );
        }
    }
}
