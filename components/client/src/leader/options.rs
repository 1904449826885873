//! Times and names of an election.

use std::time::Duration;

use crate::limits::FENCE_MARGIN;

/// Which election, and how patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionOptions {
    /// Of the Lease.
    pub name: String,
    pub namespace: String,
    /// Of this candidate; no other must have it, see [`super::identity`].
    pub identity: String,
    /// How long others wait for a leader that is not heard of; whole seconds.
    pub lease_duration: Duration,
    /// How long a leader tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// Between two attempts.
    pub retry_period: Duration,
}

impl ElectionOptions {
    /// Upstream's defaults: 15 s, 10 s and 2 s.
    #[must_use]
    pub fn new(namespace: &str, name: &str, identity: String) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            identity,
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }

    /// client-go's rules.
    ///
    /// # Errors
    /// Names the rule that does not hold.
    pub fn check(&self) -> Result<(), String> {
        if self.lease_duration < Duration::from_secs(1) || self.lease_duration.subsec_nanos() != 0 {
            return Err("the lease duration must be whole seconds, and one at least".to_owned());
        }
        if self.lease_duration <= self.renew_deadline {
            return Err("the lease duration must be greater than the renew deadline".to_owned());
        }
        if self.renew_deadline <= self.retry_period.mul_f64(1.2) {
            return Err(
                "the renew deadline must be greater than 1.2 times the retry period".to_owned(),
            );
        }
        match self.retry_period.is_zero() {
            true => Err("the retry period must be greater than zero".to_owned()),
            false => Ok(()),
        }
    }

    /// How long one apiserver may take to answer: so that there is time for another one before the deadline.
    #[must_use]
    pub fn patience(&self) -> Duration {
        (self.renew_deadline / 4).max(Duration::from_secs(1))
    }

    pub(crate) fn lease_seconds(&self) -> i32 {
        i32::try_from(self.lease_duration.as_secs()).unwrap_or(i32::MAX)
    }

    /// How long after the start of a renewal nobody else leads for certain.
    pub(crate) fn certain(&self) -> Duration {
        self.lease_duration.mul_f64(1.0 - FENCE_MARGIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_make_no_sense_are_refused() {
        let options = |lease, renew, retry| ElectionOptions {
            lease_duration: Duration::from_millis(lease),
            renew_deadline: Duration::from_millis(renew),
            retry_period: Duration::from_millis(retry),
            ..ElectionOptions::new("kube-system", "test", "me".to_owned())
        };
        assert_eq!(options(15_000, 10_000, 2_000).check(), Ok(()));
        for (lease, renew, retry) in [
            (15_000, 15_000, 2_000),
            (15_500, 10_000, 2_000),
            (0, 0, 0),
            (15_000, 2_400, 2_000),
            (15_000, 10_000, 0),
        ] {
            assert!(options(lease, renew, retry).check().is_err());
        }
    }

    #[test]
    fn a_leader_knows_of_its_end_before_others_do() {
        let options = ElectionOptions::new("kube-system", "test", "me".to_owned());
        assert_eq!(options.certain(), Duration::from_millis(13_500));
        assert!(options.certain() > options.renew_deadline + options.retry_period);
    }
}
