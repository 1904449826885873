//! What a job asks for, in the terms of its controller.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use mainstay_client::Key;

use super::indexes::Indexes;

/// Keeps a pod until it is counted.
pub(crate) const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// Annotation and label of a pod of an indexed job.
pub(super) const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
pub(super) const INDEX_FAILURES_IGNORED: &str =
    "batch.kubernetes.io/job-index-ignored-failure-count";
/// What `managedBy` says of jobs that are this controller's.
const MANAGER: &str = "kubernetes.io/job-controller";

/// A job with the defaults of its fields at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec<'a> {
    pub(super) job: &'a Job,
    pub(super) spec: &'a JobSpec,
}

impl<'a> Spec<'a> {
    pub(super) fn of(job: &'a Job) -> Option<Self> {
        let spec = job.spec.as_ref()?;
        Some(Self { job, spec })
    }

    pub(super) fn key(&self) -> Key {
        Key::of(self.job)
    }

    pub(super) fn name(&self) -> &'a str {
        self.job.metadata.name.as_deref().unwrap_or_default()
    }

    /// Whether another controller looks after it.
    pub(super) fn is_foreign(&self) -> bool {
        let manager = self.spec.managed_by.as_deref();
        manager.is_some_and(|manager| manager != MANAGER)
    }

    pub(super) fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    pub(super) fn has_unknown_mode(&self) -> bool {
        let mode = self.spec.completion_mode.as_deref();
        !matches!(mode, None | Some("Indexed" | "NonIndexed"))
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.job.metadata.deletion_timestamp.is_some()
    }

    pub(super) fn parallelism(&self) -> i32 {
        self.spec.parallelism.unwrap_or(1)
    }

    /// Indexes are below this number.
    pub(super) fn completions(&self) -> i32 {
        self.spec.completions.unwrap_or(0)
    }

    pub(super) fn backoff_limit(&self) -> i32 {
        self.spec.backoff_limit.unwrap_or(6)
    }

    /// Failures of one index, if each has its own limit.
    pub(super) fn index_limit(&self) -> Option<i32> {
        let limit = self.spec.backoff_limit_per_index;
        limit.filter(|_| self.is_indexed())
    }

    /// Whether a pod is replaced only once it has come to its end, not when it begins to be deleted.
    pub(super) fn replaces_only_failed(&self) -> bool {
        match self.spec.pod_replacement_policy.as_deref() {
            Some(policy) => policy == "Failed",
            None => self.spec.pod_failure_policy.is_some(),
        }
    }

    /// Time until the job has run for too long; negative once it has. `None` if it may run for ever.
    pub(super) fn remaining(
        &self,
        started: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<SignedDuration> {
        let allowed = SignedDuration::from_secs(self.spec.active_deadline_seconds?);
        if self.is_suspended() {
            return None;
        }
        Some(allowed - now.duration_since(started?))
    }

    pub(super) fn completed_indexes(&self) -> Indexes {
        let status = self.job.status.as_ref();
        let text = status.and_then(|status| status.completed_indexes.as_deref());
        Indexes::parse(text.unwrap_or_default(), self.completions())
    }

    pub(super) fn failed_indexes(&self) -> Indexes {
        let status = self.job.status.as_ref();
        let text = status.and_then(|status| status.failed_indexes.as_deref());
        Indexes::parse(text.unwrap_or_default(), self.completions())
    }
}
