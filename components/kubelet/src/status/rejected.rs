//! The status of a pod that the node has not taken.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::phase::Phase;
use super::times::seconds;
use crate::admit::Rejection;
use crate::spec::QosClass;

/// What upstream's messages begin with.
const BEGIN: &str = "Pod was rejected: ";

/// It has failed, and there is nothing to be said of its containers, as there never were any.
pub fn rejected(pod: &Pod, rejection: &Rejection, now: Timestamp) -> PodStatus {
    let begun = pod
        .status
        .as_ref()
        .and_then(|status| status.start_time.clone());
    PodStatus {
        phase: Some(Phase::Failed.name().to_owned()),
        reason: Some(rejection.reason.clone()),
        message: Some(format!("{BEGIN}{}", rejection.message)),
        qos_class: Some(QosClass::of(pod).name().to_owned()),
        start_time: begun.or_else(|| Some(seconds(now))),
        observed_generation: pod.metadata.generation,
        ..PodStatus::default()
    }
}

/// Why a pod was not taken, if that is what its status says: perhaps by a kubelet that is no more.
pub fn rejection_of(status: &PodStatus) -> Option<Rejection> {
    let message = status.message.as_deref()?.strip_prefix(BEGIN)?;
    let failed = status.phase.as_deref() == Some(Phase::Failed.name());
    failed.then(|| Rejection {
        reason: status.reason.clone().unwrap_or_default(),
        message: message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_is_known_again() {
        let rejection = Rejection {
            reason: "OutOfcpu".to_owned(),
            message: "Node didn't have enough resource: cpu".to_owned(),
        };
        let status = rejected(&Pod::default(), &rejection, Timestamp::UNIX_EPOCH);
        assert_eq!(rejection_of(&status), Some(rejection));
        assert_eq!(status.container_statuses, None);
        assert_eq!(rejection_of(&PodStatus::default()), None);
        let runs = PodStatus {
            phase: Some("Running".to_owned()),
            ..status
        };
        assert_eq!(rejection_of(&runs), None);
    }
}
