//! Counting pods exactly once.
//!
//! A pod that came to its end is first named in the status (`uncountedTerminatedPods`), then loses its finalizer,
//! and only then becomes a number. Whatever write this dies after, the next round knows from the pod's finalizer and
//! the status what is done. Pods of indexed jobs that succeeded need no names: their indexes count once by nature.

use std::collections::HashSet;

use k8s_openapi::api::batch::v1::{JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;

use super::conditions::End;
use super::indexes::Indexes;
use super::pod::{has_failed, has_succeeded, index, is_tracked, uid};
use super::policy::judge;
use super::spec::Spec;
use crate::limits::JOB_UNCOUNTED_MAX;

/// Uids named in a status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Uncounted {
    pub(super) succeeded: HashSet<String>,
    pub(super) failed: HashSet<String>,
}

impl Uncounted {
    pub(super) fn of(status: &JobStatus) -> Self {
        let uids = status.uncounted_terminated_pods.as_ref();
        let set = |list: Option<&Vec<String>>| list.into_iter().flatten().cloned().collect();
        Self {
            succeeded: set(uids.and_then(|uids| uids.succeeded.as_ref())),
            failed: set(uids.and_then(|uids| uids.failed.as_ref())),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.succeeded.is_empty() && self.failed.is_empty()
    }
}

/// Pods that came to their ends and are in no status yet.
pub(super) struct New<'a> {
    pub(super) succeeded: Vec<&'a Pod>,
    pub(super) failed: Vec<&'a Pod>,
}

impl<'a> New<'a> {
    pub(super) fn among(spec: &Spec<'_>, pods: &[&'a Pod], uncounted: &Uncounted) -> Self {
        let valid = |pod: &&&Pod| {
            is_tracked(pod)
                && !uncounted.succeeded.contains(uid(pod))
                && !uncounted.failed.contains(uid(pod))
                && (!spec.is_indexed() || index(spec, pod).is_some())
        };
        let new = pods.iter().filter(valid).copied();
        let (succeeded, others): (Vec<_>, Vec<_>) = new.partition(|pod| has_succeeded(pod));
        Self {
            succeeded,
            failed: others
                .into_iter()
                .filter(|pod| has_failed(spec, pod))
                .collect(),
        }
    }

    /// Failures that the pod failure policy does not ignore.
    pub(super) fn counted_failures(&self, spec: &Spec<'_>) -> i32 {
        let policy = spec.spec.pod_failure_policy.as_ref();
        let counted = self.failed.iter().filter(|pod| !judge(policy, pod).ignored);
        i32::try_from(counted.count()).unwrap_or(i32::MAX)
    }
}

/// What a round has to track.
pub(super) struct Round<'a> {
    pub(super) spec: Spec<'a>,
    pub(super) pods: &'a [&'a Pod],
    pub(super) end: Option<&'a End>,
    /// Uids of failed pods that stay until there is another one for their index: it inherits their counts.
    pub(super) kept: &'a HashSet<String>,
}

impl<'a> Round<'a> {
    /// Names pods in the status and returns those that may lose their finalizers once it is written; whether all
    /// were named, or too many wait for that already.
    pub(super) fn name(
        &self,
        status: &mut JobStatus,
        indexes: &mut Indexes,
    ) -> (Vec<&'a Pod>, bool) {
        let known = Uncounted::of(status);
        let mut uncounted = status.uncounted_terminated_pods.take().unwrap_or_default();
        let mut named = known.succeeded.len() + known.failed.len();
        let mut free = Vec::new();
        let mut all = true;
        let tracked = self.pods.iter().copied().filter(|pod| is_tracked(pod));
        for pod in tracked.filter(|pod| self.may_go(pod)) {
            if named >= JOB_UNCOUNTED_MAX {
                all = false;
                break;
            }
            free.push(pod);
            named += usize::from(self.name_one(pod, &known, &mut uncounted, indexes));
        }
        status.uncounted_terminated_pods = Some(uncounted);
        (free, all)
    }

    fn may_go(&self, pod: &Pod) -> bool {
        if self.spec.is_deleted() || self.end.is_some() || has_succeeded(pod) {
            return true;
        }
        has_failed(&self.spec, pod) && !self.kept.contains(uid(pod))
    }

    fn name_one(
        &self,
        pod: &Pod,
        known: &Uncounted,
        uncounted: &mut UncountedTerminatedPods,
        indexes: &mut Indexes,
    ) -> bool {
        let spec = &self.spec;
        let uid = uid(pod);
        let index = index(spec, pod);
        if has_succeeded(pod) && !known.failed.contains(uid) {
            if spec.is_indexed() {
                return index.is_some_and(|index| indexes.insert(index));
            }
            if known.succeeded.contains(uid) {
                return false;
            }
            let list = uncounted.succeeded.get_or_insert_default();
            list.push(uid.to_owned());
            return true;
        }
        // What has no end when its job fails has failed with it.
        let fails_along = self.end.is_some_and(|end| !end.succeeded);
        if !has_failed(spec, pod) && !fails_along || known.failed.contains(uid) {
            return false;
        }
        if spec.is_indexed() && index.is_none() {
            return false;
        }
        if judge(spec.spec.pod_failure_policy.as_ref(), pod).ignored {
            return false;
        }
        let list = uncounted.failed.get_or_insert_default();
        list.push(uid.to_owned());
        true
    }
}

/// Makes numbers of the named pods that are no longer tracked; returns whether there were any.
pub(super) fn count(status: &mut JobStatus, tracked: &HashSet<&str>) -> bool {
    let mut uncounted = status.uncounted_terminated_pods.take().unwrap_or_default();
    let succeeded = take(&mut uncounted.succeeded, tracked);
    let failed = take(&mut uncounted.failed, tracked);
    status.uncounted_terminated_pods = Some(uncounted);
    let add = |count: &mut Option<i32>, more: i32| {
        if more > 0 {
            *count = Some(count.unwrap_or(0) + more);
        }
    };
    add(&mut status.succeeded, succeeded);
    add(&mut status.failed, failed);
    succeeded + failed > 0
}

fn take(uids: &mut Option<Vec<String>>, tracked: &HashSet<&str>) -> i32 {
    let Some(list) = uids else { return 0 };
    let before = list.len();
    list.retain(|uid| tracked.contains(uid.as_str()));
    let taken = before - list.len();
    if list.is_empty() {
        *uids = None;
    }
    i32::try_from(taken).unwrap_or(i32::MAX)
}
