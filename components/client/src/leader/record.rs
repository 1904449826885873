//! What a Lease says about who leads.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// The part of a Lease that elections are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Empty after a clean stop.
    pub(crate) holder: String,
    pub(crate) seconds: i32,
    pub(crate) acquired: Option<Timestamp>,
    pub(crate) renewed: Option<Timestamp>,
    /// How often the holder has changed.
    pub(crate) transitions: i32,
}

impl Record {
    pub(crate) fn of(spec: Option<&LeaseSpec>) -> Self {
        let Some(spec) = spec else {
            return Self::default();
        };
        let time = |time: &Option<MicroTime>| time.as_ref().map(|time| time.0);
        Self {
            holder: spec.holder_identity.clone().unwrap_or_default(),
            seconds: spec.lease_duration_seconds.unwrap_or_default(),
            acquired: time(&spec.acquire_time),
            renewed: time(&spec.renew_time),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }

    /// Puts it into a Lease; what else is there stays.
    pub(crate) fn put(&self, spec: &mut LeaseSpec) {
        spec.holder_identity = (!self.holder.is_empty()).then(|| self.holder.clone());
        spec.lease_duration_seconds = Some(self.seconds);
        spec.acquire_time = self.acquired.map(MicroTime);
        spec.renew_time = self.renewed.map(MicroTime);
        spec.lease_transitions = Some(self.transitions);
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.seconds).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_keeps_what_the_election_does_not_know() {
        let mut spec = LeaseSpec {
            strategy: Some("OldestEmulationVersion".to_owned()),
            holder_identity: Some("a".to_owned()),
            ..LeaseSpec::default()
        };
        let mut record = Record::of(Some(&spec));
        assert_eq!(record.holder, "a");
        record.holder.clear();
        record.put(&mut spec);
        assert_eq!(spec.holder_identity, None, "an empty name would be refused");
        assert_eq!(spec.strategy.as_deref(), Some("OldestEmulationVersion"));
    }
}
