//! The conditions of a deployment.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentStatus, ReplicaSetCondition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(super) const AVAILABLE: &str = "Available";
pub(super) const PROGRESSING: &str = "Progressing";
pub(super) const REPLICA_FAILURE: &str = "ReplicaFailure";

/// Why a deployment is progressing or not.
pub(super) mod reason {
    pub(in super::super) const NEW_SET: &str = "NewReplicaSetCreated";
    pub(in super::super) const FOUND_SET: &str = "FoundNewReplicaSet";
    pub(in super::super) const SET_FAILED: &str = "ReplicaSetCreateError";
    pub(in super::super) const SET_UPDATED: &str = "ReplicaSetUpdated";
    pub(in super::super) const SET_AVAILABLE: &str = "NewReplicaSetAvailable";
    pub(in super::super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
    pub(in super::super) const PAUSED: &str = "DeploymentPaused";
    pub(in super::super) const RESUMED: &str = "DeploymentResumed";
}

pub(super) fn condition(
    type_: &str,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> DeploymentCondition {
    DeploymentCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// A replica set's condition as one of its deployment.
pub(super) fn from_set(of: &ReplicaSetCondition) -> DeploymentCondition {
    DeploymentCondition {
        type_: of.type_.clone(),
        status: of.status.clone(),
        reason: of.reason.clone(),
        message: of.message.clone(),
        last_update_time: of.last_transition_time.clone(),
        last_transition_time: of.last_transition_time.clone(),
    }
}

pub(super) fn get<'a>(
    status: &'a DeploymentStatus,
    type_: &str,
) -> Option<&'a DeploymentCondition> {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == type_)
}

pub(super) fn progressing(deployment: &Deployment) -> Option<&DeploymentCondition> {
    get(deployment.status.as_ref()?, PROGRESSING)
}

pub(super) fn has_reason(condition: Option<&DeploymentCondition>, reason: &str) -> bool {
    condition.is_some_and(|condition| condition.reason.as_deref() == Some(reason))
}

/// Puts a condition in; one with the same status and reason stays as it is, and one with the same status keeps the
/// time of its last transition.
pub(super) fn set(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(old) = get(status, &condition.type_)
        && old.status == condition.status
    {
        if old.reason == condition.reason {
            return;
        }
        condition.last_transition_time = old.last_transition_time.clone();
    }
    remove(status, &condition.type_);
    status.conditions.get_or_insert_default().push(condition);
}

pub(super) fn remove(status: &mut DeploymentStatus, type_: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != type_);
    }
    status.conditions = status.conditions.take().filter(|all| !all.is_empty());
}

/// How long a deployment may go on without progress, if not for ever.
pub(super) fn deadline(deployment: &Deployment) -> Option<SignedDuration> {
    let seconds = deployment.spec.as_ref()?.progress_deadline_seconds?;
    // The largest number means none.
    (seconds != i32::MAX).then(|| SignedDuration::from_secs(i64::from(seconds)))
}

/// Whether there was no progress for too long at `now`.
pub(super) fn is_late(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> bool {
    let Some(condition) = get(status, PROGRESSING) else {
        return false;
    };
    match condition.reason.as_deref() {
        // What was complete is complete until something else is asked for.
        Some(reason::SET_AVAILABLE) => false,
        Some(reason::TIMED_OUT) => true,
        _ => left(deployment, condition, now).is_some_and(|left| left.is_negative()),
    }
}

/// Time until the deadline.
fn left(
    deployment: &Deployment,
    condition: &DeploymentCondition,
    now: Timestamp,
) -> Option<SignedDuration> {
    let updated = condition.last_update_time.as_ref()?.0;
    Some(deadline(deployment)? - now.duration_since(updated))
}

/// When to look again whether the deadline has passed.
pub(super) fn next_check(
    deployment: &Deployment,
    status: &DeploymentStatus,
    now: Timestamp,
) -> Option<Duration> {
    let condition = get(status, PROGRESSING)?;
    let over = [reason::SET_AVAILABLE, reason::TIMED_OUT, reason::PAUSED];
    if over
        .iter()
        .any(|reason| has_reason(Some(condition), reason))
    {
        return None;
    }
    let left = left(deployment, condition, now)?;
    // A second more: times in conditions have no fractions.
    Some(Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1))
}
