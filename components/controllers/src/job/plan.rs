//! How many pods a job should have now, which go, and for which completions new ones are made.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::backoff::Failures;
use super::indexes::Indexes;
use super::pod::{has_failed, index, index_failures, is_terminating, is_tracked, uid};
use super::spec::Spec;
use crate::limits::JOB_PODS_AT_ONCE;
use crate::pods::{is_ready, phase, ready_since, restarts};

/// What is known when a round is planned.
pub(super) struct Seen<'a> {
    pub(super) spec: Spec<'a>,
    pub(super) active: &'a [&'a Pod],
    pub(super) pods: &'a [&'a Pod],
    /// Pods that succeeded, or indexes for which one did.
    pub(super) succeeded: i32,
    pub(super) done: &'a Indexes,
    pub(super) given_up: &'a Indexes,
    /// The last failed pods of indexes that are tried again.
    pub(super) replaced: &'a HashMap<i32, &'a Pod>,
    pub(super) failures: Failures,
    pub(super) now: Timestamp,
}

#[derive(Debug, PartialEq)]
pub(super) enum Plan<'a> {
    Nothing,
    /// Nothing before this time has passed.
    Wait(Duration),
    Delete(Vec<&'a Pod>),
    /// This many more.
    Create(usize),
    /// One more for each of these indexes.
    CreateFor(Vec<i32>),
}

impl<'a> Seen<'a> {
    pub(super) fn plan(&self) -> Plan<'a> {
        let active = i32::try_from(self.active.len()).unwrap_or(i32::MAX);
        let wanted = self.wanted(active);
        let surplus = usize::try_from(active - wanted).unwrap_or(0);
        let mut gone = self.to_remove(surplus);
        if !gone.is_empty() {
            // Deletions before creations: what is created depends on what is gone.
            gone.truncate(JOB_PODS_AT_ONCE);
            return Plan::Delete(gone);
        }
        if self.spec.is_suspended() {
            return Plan::Nothing;
        }
        let waiting = match self.spec.replaces_only_failed() {
            true => self.pods.iter().filter(|pod| is_terminating(pod)).count(),
            false => 0,
        };
        let missing = wanted - active - i32::try_from(waiting).unwrap_or(i32::MAX);
        match usize::try_from(missing).unwrap_or(0) {
            0 => Plan::Nothing,
            missing => self.create(missing.min(JOB_PODS_AT_ONCE)),
        }
    }

    fn wanted(&self, active: i32) -> i32 {
        let spec = &self.spec;
        if spec.is_suspended() {
            return 0;
        }
        match spec.spec.completions {
            // One success is enough, and what still runs may run on.
            None if self.succeeded > 0 => active,
            None => spec.parallelism(),
            Some(completions) => (completions - self.succeeded).clamp(0, spec.parallelism()),
        }
    }

    fn create(&self, missing: usize) -> Plan<'a> {
        let pause = self.failures.remaining(self.now);
        if self.spec.index_limit().is_none() && !pause.is_zero() {
            return Plan::Wait(pause);
        }
        if !self.spec.is_indexed() {
            return Plan::Create(missing);
        }
        let wanted = self.pending(missing);
        let pause_of = |index: &i32| match self.replaced.get(index) {
            Some(pod) => Failures::of_index(pod, self.now).remaining(self.now),
            None => Duration::ZERO,
        };
        let ready = wanted.iter().copied().filter(|i| pause_of(i).is_zero());
        let ready: Vec<_> = ready.collect();
        if !ready.is_empty() {
            return Plan::CreateFor(ready);
        }
        match wanted.iter().map(pause_of).min() {
            Some(pause) => Plan::Wait(pause),
            None => Plan::Nothing,
        }
    }

    /// The first indexes for which nothing runs and nothing is decided.
    fn pending(&self, count: usize) -> Vec<i32> {
        let spec = &self.spec;
        let mut taken = self.done.clone();
        taken.extend(self.given_up);
        let only_failed = spec.replaces_only_failed();
        let going = self
            .pods
            .iter()
            .filter(|pod| only_failed && is_terminating(pod));
        for pod in self.active.iter().chain(going) {
            if let Some(index) = index(spec, pod) {
                taken.insert(index);
            }
        }
        let all = 0..spec.completions();
        all.filter(|index| !taken.has(*index)).take(count).collect()
    }

    /// At least `least` of the active pods: first those whose index is none, or has another pod.
    fn to_remove(&self, least: usize) -> Vec<&'a Pod> {
        let mut gone = Vec::new();
        let mut left = self.active.to_vec();
        if self.spec.is_indexed() {
            let mut by_index: BTreeMap<i32, Vec<&Pod>> = BTreeMap::new();
            for pod in std::mem::take(&mut left) {
                match index(&self.spec, pod) {
                    Some(index) => by_index.entry(index).or_default().push(pod),
                    None => gone.push(pod),
                }
            }
            for mut same in by_index.into_values() {
                sort_for_deletion(&mut same);
                left.extend(same.pop());
                gone.append(&mut same);
            }
        }
        if gone.len() < least {
            sort_for_deletion(&mut left);
            let more = (least - gone.len()).min(left.len());
            gone.extend(&left[..more]);
        }
        gone
    }
}

/// Those that have done least to the front.
fn sort_for_deletion(pods: &mut [&Pod]) {
    pods.sort_by_cached_key(|pod| {
        let spec = pod.spec.as_ref();
        let assigned = spec.is_some_and(|spec| spec.node_name.is_some());
        let phase = match phase(pod) {
            "Pending" => 0,
            "Unknown" => 1,
            _ => 2,
        };
        let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let times = (
            Reverse(ready_since(pod)),
            Reverse(restarts(pod)),
            Reverse(created),
        );
        (assigned, phase, is_ready(pod), times)
    });
}

/// The failed pod with the most failures of each index that is to be tried again and has no pod yet.
pub(super) fn to_replace<'a>(
    spec: &Spec<'_>,
    pods: &[&'a Pod],
    active: &[&Pod],
    done: &Indexes,
    given_up: &Indexes,
) -> HashMap<i32, &'a Pod> {
    if spec.index_limit().is_none() {
        return HashMap::new();
    }
    let active: Indexes = active.iter().filter_map(|pod| index(spec, pod)).collect();
    let mut last: HashMap<i32, &Pod> = HashMap::new();
    for &pod in pods
        .iter()
        .filter(|pod| is_tracked(pod) && has_failed(spec, pod))
    {
        let Some(index) = index(spec, pod) else {
            continue;
        };
        if active.has(index) || done.has(index) || given_up.has(index) {
            continue;
        }
        let count = |pod: &Pod| {
            let (failures, ignored) = index_failures(pod);
            failures + ignored
        };
        let known = last.entry(index).or_insert(pod);
        if count(pod) > count(known) {
            *known = pod;
        }
    }
    last
}

/// Uids of pods that keep their finalizers until they are replaced.
pub(super) fn kept(replaced: &HashMap<i32, &Pod>) -> HashSet<String> {
    replaced.values().map(|pod| uid(pod).to_owned()).collect()
}
