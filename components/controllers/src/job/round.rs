//! One round of one job: what its pods say, what is decided from it, and what its status becomes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::api::core::v1::Pod;

use super::backoff::Failures;
use super::conditions::End;
use super::indexes::Indexes;
use super::plan::{Seen, kept, to_replace};
use super::pod::{fails_index, has_failed, has_succeeded, index, is_terminating, is_tracked};
use super::policy::{judge, succeeded};
use super::spec::Spec;
use super::track::{New, Uncounted};
use crate::pods::{is_active, is_ready, phase};

/// A job and its pods at one moment.
pub(super) struct Round<'a> {
    pub(super) spec: Spec<'a>,
    pub(super) status: JobStatus,
    pub(super) pods: &'a [&'a Pod],
    pub(super) active: Vec<&'a Pod>,
    pub(super) terminating: i32,
    /// Pods that succeeded, or indexes for which one did.
    pub(super) succeeded: i32,
    pub(super) failed: i32,
    /// Indexes of the status, and with those of pods that are not counted yet.
    pub(super) counted: Indexes,
    pub(super) done: Indexes,
    pub(super) given_up: Indexes,
    pub(super) replaced: HashMap<i32, &'a Pod>,
    pub(super) failures: Failures,
    pub(super) now: Timestamp,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        spec: Spec<'a>,
        pods: &'a [&'a Pod],
        failures: Failures,
        now: Timestamp,
    ) -> Self {
        let mut status = spec.job.status.clone().unwrap_or_default();
        let uncounted = Uncounted::of(&status);
        let new = New::among(&spec, pods, &uncounted);
        let active: Vec<_> = pods.iter().copied().filter(|pod| is_active(pod)).collect();
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let counted = spec.completed_indexes();
        let mut done = counted.clone();
        let tracked = || pods.iter().copied().filter(|pod| is_tracked(pod));
        let with_success = tracked().filter(|pod| has_succeeded(pod));
        done.extend(&with_success.filter_map(|pod| index(&spec, pod)).collect());
        let mut given_up = spec.failed_indexes();
        let hopeless = tracked().filter(|pod| fails_index(&spec, pod));
        given_up.extend(&hopeless.filter_map(|pod| index(&spec, pod)).collect());
        let replaced = to_replace(&spec, pods, &active, &done, &given_up);
        let succeeded = match spec.is_indexed() {
            true => done.len(),
            false => {
                let waiting = new.succeeded.len() + uncounted.succeeded.len();
                status.succeeded.unwrap_or(0) + number(waiting)
            }
        };
        let failed = status.failed.unwrap_or(0)
            + new.counted_failures(&spec)
            + number(uncounted.failed.len());
        if status.start_time.is_none() && !spec.is_suspended() {
            status.start_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
        }
        Self {
            failures: failures.after(&new.succeeded, &new.failed, now),
            terminating: number(pods.iter().filter(|pod| is_terminating(pod)).count()),
            spec,
            status,
            pods,
            active,
            succeeded,
            failed,
            counted,
            done,
            given_up,
            replaced,
            now,
        }
    }

    fn started(&self) -> Option<Timestamp> {
        self.status.start_time.as_ref().map(|time| time.0)
    }

    /// Time until the job is too old, if that may come.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let remaining = self.spec.remaining(self.started(), self.now)?;
        Some(Duration::try_from(remaining).unwrap_or(Duration::ZERO))
    }

    /// Whether and how the job ends, before its pods are counted against its completions.
    pub(super) fn end(&self) -> Option<End> {
        End::decided(self.spec.job)
            .or_else(|| self.failed_by_policy())
            .or_else(|| self.failed_by_limit())
            .or_else(|| self.failed_by_indexes())
            .or_else(|| {
                let policy = self.spec.spec.success_policy.as_ref();
                let policy = policy.filter(|_| self.spec.is_indexed());
                let message = succeeded(policy, self.spec.completions(), &self.done)?;
                Some(End::succeeded("SuccessPolicy", message))
            })
    }

    fn failed_by_policy(&self) -> Option<End> {
        let policy = self.spec.spec.pod_failure_policy.as_ref()?;
        let failed = self.pods.iter().filter(|pod| has_failed(&self.spec, pod));
        let mut messages = failed.filter_map(|pod| judge(Some(policy), pod).fails_job);
        let message = messages.next()?;
        Some(End::failed("PodFailurePolicy", message))
    }

    fn failed_by_limit(&self) -> Option<End> {
        if self.failed > self.spec.backoff_limit() || self.restarts_exceed_limit() {
            let message = "Job has reached the specified backoff limit";
            return Some(End::failed("BackoffLimitExceeded", message));
        }
        if self.deadline().is_some_and(|remaining| remaining.is_zero()) {
            let message = "Job was active longer than specified deadline";
            return Some(End::failed("DeadlineExceeded", message));
        }
        None
    }

    /// Containers that are started again in their pods count like pods that fail.
    fn restarts_exceed_limit(&self) -> bool {
        let template = self.spec.spec.template.spec.as_ref();
        let policy = template.and_then(|pod| pod.restart_policy.as_deref());
        if policy != Some("OnFailure") {
            return false;
        }
        let alive = self.pods.iter().copied();
        let alive = alive.filter(|pod| matches!(phase(pod), "Running" | "Pending"));
        let restarts: i32 = alive.map(all_restarts).sum();
        restarts > 0 && restarts >= self.spec.backoff_limit()
    }

    fn failed_by_indexes(&self) -> Option<End> {
        self.spec.index_limit()?;
        let limit = self.spec.spec.max_failed_indexes;
        if limit.is_some_and(|limit| self.given_up.len() > limit) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Some(End::failed("MaxFailedIndexesExceeded", message));
        }
        let all = self.given_up.len() + self.done.len() >= self.spec.completions();
        (self.given_up.len() > 0 && all)
            .then(|| End::failed("FailedIndexes", "Job has failed indexes"))
    }

    /// The end that comes when there is nothing left to do; `active` pods still run.
    pub(super) fn completion(&self, active: usize) -> Option<End> {
        let reached = match self.spec.spec.completions {
            None => self.succeeded > 0,
            Some(completions) => self.succeeded >= completions,
        };
        let message = "Reached expected number of succeeded pods";
        (reached && active == 0).then(|| End::succeeded("CompletionsReached", message))
    }

    pub(super) fn seen(&'a self) -> Seen<'a> {
        Seen {
            spec: self.spec,
            active: &self.active,
            pods: self.pods,
            succeeded: self.succeeded,
            done: &self.done,
            given_up: &self.given_up,
            replaced: &self.replaced,
            failures: self.failures,
            now: self.now,
        }
    }

    pub(super) fn kept(&self) -> HashSet<String> {
        kept(&self.replaced)
    }

    /// Notes what can be seen of the pods; `made` and `deleted` are what this round did to them.
    pub(super) fn note_pods(&mut self, made: usize, deleted: &HashSet<&str>) {
        let left = self.active.iter().copied();
        let left = left.filter(|pod| !deleted.contains(super::pod::uid(pod)));
        let left: Vec<_> = left.collect();
        let number = |count: usize| Some(i32::try_from(count).unwrap_or(i32::MAX));
        let some = |count: usize| number(count).filter(|count| *count > 0);
        let ready = left.iter().filter(|pod| is_ready(pod)).count();
        self.terminating += i32::try_from(deleted.len()).unwrap_or(i32::MAX);
        let status = &mut self.status;
        status.active = some(left.len() + made);
        status.ready = number(ready);
        status.terminating = Some(self.terminating);
    }
}

fn all_restarts(pod: &Pod) -> i32 {
    let status = pod.status.as_ref();
    let lists = status.map(|status| {
        let own = status.container_statuses.iter().flatten();
        own.chain(status.init_container_statuses.iter().flatten())
    });
    lists.into_iter().flatten().map(|c| c.restart_count).sum()
}
