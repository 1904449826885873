//! Conditions of jobs, and how they end.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(crate) const COMPLETE: &str = "Complete";
pub(crate) const FAILED: &str = "Failed";
const FAILURE_TARGET: &str = "FailureTarget";
const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
const SUSPENDED: &str = "Suspended";

/// How a job ends, and why: said in `FailureTarget` or `SuccessCriteriaMet` before any pod is let go, and in
/// `Failed` or `Complete` once all of them have come to their ends and are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) succeeded: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

impl End {
    pub(super) fn failed(reason: &str, message: impl Into<String>) -> Self {
        Self {
            succeeded: false,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    pub(super) fn succeeded(reason: &str, message: impl Into<String>) -> Self {
        Self {
            succeeded: true,
            ..Self::failed(reason, message)
        }
    }

    /// What was decided in an earlier round: it stays decided.
    pub(super) fn decided(job: &Job) -> Option<Self> {
        let find = |type_| is_true(conditions(job), type_);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let met = find(SUCCESS_CRITERIA_MET);
        let condition = met.or_else(|| find(FAILURE_TARGET))?;
        Some(Self {
            succeeded: met.is_some(),
            reason: text(&condition.reason),
            message: text(&condition.message),
        })
    }

    fn condition(&self, type_: &str, now: Timestamp) -> JobCondition {
        condition(type_, true, &self.reason, &self.message, now)
    }

    /// Notes the decision; returns whether it is new.
    pub(super) fn decide(&self, all: &mut Vec<JobCondition>, now: Timestamp) -> bool {
        let type_ = match self.succeeded {
            true => SUCCESS_CRITERIA_MET,
            false => FAILURE_TARGET,
        };
        if is_true(all, type_).is_some() {
            return false;
        }
        all.push(self.condition(type_, now));
        true
    }

    /// Notes the end.
    pub(super) fn enact(&self, all: &mut Vec<JobCondition>, now: Timestamp) {
        let type_ = if self.succeeded { COMPLETE } else { FAILED };
        ensure(all, type_, true, &self.reason, &self.message, now);
    }
}

pub(super) fn conditions(job: &Job) -> &[JobCondition] {
    let status = job.status.as_ref();
    status
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default()
}

fn is_true<'a>(all: &'a [JobCondition], type_: &str) -> Option<&'a JobCondition> {
    let mut found = all.iter();
    found.find(|condition| condition.type_ == type_ && condition.status == "True")
}

/// `Complete` or `Failed`, if the job has come to its end.
pub(crate) fn finished(job: &Job) -> Option<&JobCondition> {
    let all = conditions(job);
    is_true(all, COMPLETE).or_else(|| is_true(all, FAILED))
}

fn condition(type_: &str, is: bool, reason: &str, message: &str, now: Timestamp) -> JobCondition {
    JobCondition {
        type_: type_.to_owned(),
        status: if is { "True" } else { "False" }.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// Returns whether anything has changed. One that was never true is not said to be false.
fn ensure(
    all: &mut Vec<JobCondition>,
    type_: &str,
    is: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> bool {
    let new = condition(type_, is, reason, message, now);
    match all.iter_mut().find(|condition| condition.type_ == type_) {
        None if is => all.push(new),
        Some(old)
            if old.status != new.status
                || old.reason != new.reason
                || old.message != new.message =>
        {
            *old = new;
        }
        _ => return false,
    }
    true
}

/// Notes whether the job is suspended; returns whether that is news.
pub(super) fn suspend(all: &mut Vec<JobCondition>, suspended: bool, now: Timestamp) -> bool {
    match suspended {
        true => ensure(all, SUSPENDED, true, "JobSuspended", "Job suspended", now),
        false => ensure(all, SUSPENDED, false, "JobResumed", "Job resumed", now),
    }
}
