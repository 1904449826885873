//! What one round does to the pods of a stateful set.
//!
//! Upstream's order of things: pods that are missing or have ended first, in order of their ordinals; then those that
//! are too many, from the last; then those of another revision, from the last. A set with ordered pods takes one step
//! at a time and waits for each pod to be available before it goes on.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::identity::{is_wanted, ordinal, replicas, revision, start};
use crate::pods::{is_available, is_ready, phase};
use crate::shares::{Round, scaled};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Make the pod of this ordinal.
    Create(i32),
    /// Delete a pod: it has ended, is too many, or of another revision.
    Delete(Arc<Pod>),
    /// Make claims that a pod waits for.
    Provide(Arc<Pod>),
    /// Give a pod its identity and its claims their owners, where they differ.
    Repair(Arc<Pod>),
}

/// Steps of which each must have succeeded before the next one, and of which those of one phase need no order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) phases: Vec<Vec<Step>>,
}

/// An ordinal, and its pod if there is one.
type Place = (i32, Option<Arc<Pod>>);

/// What a plan is made from. Pods are those that the set controls.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) set: &'a StatefulSet,
    pub(super) pods: &'a [Arc<Pod>],
    pub(super) update_revision: &'a str,
    pub(super) now: Timestamp,
}

fn going(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

pub(super) fn min_ready(set: &StatefulSet) -> i32 {
    let seconds = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
    seconds.unwrap_or(0)
}

pub(super) fn is_ordered(set: &StatefulSet) -> bool {
    let policy = set
        .spec
        .as_ref()
        .and_then(|spec| spec.pod_management_policy.as_deref());
    policy != Some("Parallel")
}

/// Whether a new pod of this ordinal is made from the revision of before.
pub(super) fn is_current(set: &StatefulSet, ordinal: i32) -> bool {
    let strategy = set
        .spec
        .as_ref()
        .and_then(|spec| spec.update_strategy.as_ref());
    if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
        return false;
    }
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let old = match rolling {
        Some(rolling) => rolling.partition.unwrap_or(0),
        None => set
            .status
            .as_ref()
            .and_then(|status| status.current_replicas)
            .unwrap_or(0),
    };
    ordinal < start(set).saturating_add(old)
}

impl Seen<'_> {
    pub(super) fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        if self.set.metadata.deletion_timestamp.is_some() {
            return plan;
        }
        let (wanted, surplus) = self.split();
        let ordered = is_ordered(self.set);
        let (steps, blocked) = self.keep(&wanted, ordered);
        let ended: Vec<_> = wanted
            .iter()
            .map(|(_, pod)| pod.as_ref().is_some_and(|pod| has_ended(pod)))
            .collect();
        plan.phases.push(steps);
        if ordered && blocked {
            return plan;
        }
        plan.phases.push(
            surplus
                .iter()
                .map(|pod| Step::Repair(Arc::clone(pod)))
                .collect(),
        );
        let (steps, blocked) = self.drop_surplus(&wanted, &surplus, ordered);
        plan.phases.push(steps);
        if ordered && blocked {
            return plan;
        }
        plan.phases.push(self.update(&wanted, &ended));
        plan
    }

    /// Places with their pods, and pods without a place, the last first.
    fn split(&self) -> (Vec<Place>, Vec<Arc<Pod>>) {
        let first = start(self.set);
        let places = first..first.saturating_add(replicas(self.set));
        let mut wanted: Vec<Place> = places.map(|ordinal| (ordinal, None)).collect();
        let mut surplus = Vec::new();
        for pod in self.pods {
            let Some(number) = ordinal(pod) else { continue };
            if !is_wanted(self.set, number) {
                surplus.push(Arc::clone(pod));
                continue;
            }
            let place = usize::try_from(number - first)
                .ok()
                .and_then(|at| wanted.get_mut(at));
            if let Some((_, place)) = place {
                *place = Some(Arc::clone(pod));
            }
        }
        surplus.sort_by_key(|pod| std::cmp::Reverse(ordinal(pod)));
        (wanted, surplus)
    }

    /// Whether a pod serves; one that is being deleted does not.
    fn is_up(&self, pod: &Pod) -> bool {
        self.is_running(pod) && !going(pod)
    }

    fn is_running(&self, pod: &Pod) -> bool {
        phase(pod) == "Running" && is_ready(pod) && is_available(pod, min_ready(self.set), self.now)
    }

    /// Makes and replaces pods. Whether a set with ordered pods must wait.
    fn keep(&self, wanted: &[Place], ordered: bool) -> (Vec<Step>, bool) {
        let mut steps = Vec::new();
        for (ordinal, pod) in wanted {
            let Some(pod) = pod else {
                steps.push(Step::Create(*ordinal));
                if ordered {
                    return (steps, true);
                }
                continue;
            };
            if has_ended(pod) {
                if !going(pod) {
                    steps.push(Step::Delete(Arc::clone(pod)));
                }
                if ordered {
                    return (steps, true);
                }
                continue;
            }
            if phase(pod) == "Pending" {
                steps.push(Step::Provide(Arc::clone(pod)));
            }
            if ordered && !self.is_up(pod) {
                return (steps, true);
            }
            steps.push(Step::Repair(Arc::clone(pod)));
        }
        (steps, false)
    }

    fn drop_surplus(
        &self,
        wanted: &[Place],
        surplus: &[Arc<Pod>],
        ordered: bool,
    ) -> (Vec<Step>, bool) {
        let mut steps = Vec::new();
        // The first pod that does not serve may go; others of that kind wait for it.
        let places = wanted.iter().filter_map(|(_, pod)| pod.as_ref());
        let mut all = places.chain(surplus.iter().rev());
        let first_down = all.find(|pod| !self.is_up(pod));
        for pod in surplus {
            if going(pod) {
                if ordered {
                    return (steps, true);
                }
                continue;
            }
            let is_first = first_down.is_some_and(|first| Arc::ptr_eq(first, pod));
            if ordered && !self.is_running(pod) && !is_first {
                return (steps, true);
            }
            steps.push(Step::Delete(Arc::clone(pod)));
            if ordered {
                return (steps, true);
            }
        }
        (steps, false)
    }

    /// Deletes pods of another revision, the last first, as many as may be missing.
    fn update(&self, wanted: &[Place], ended: &[bool]) -> Vec<Step> {
        let strategy = self
            .set
            .spec
            .as_ref()
            .and_then(|spec| spec.update_strategy.as_ref());
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
            return Vec::new();
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let partition = rolling.and_then(|rolling| rolling.partition).unwrap_or(0);
        let first = usize::try_from(partition).unwrap_or(0);
        let places = wanted.iter().zip(ended).enumerate().skip(first).rev();
        let most = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let Some(most) = most else {
            // One at a time: the last one of another revision, once all behind it serve.
            for (_, ((_, pod), ended)) in places {
                match pod {
                    Some(pod) if !ended && self.is_old(pod) => {
                        return vec![Step::Delete(Arc::clone(pod))];
                    }
                    Some(pod) if self.is_up(pod) => {}
                    _ => return Vec::new(),
                }
            }
            return Vec::new();
        };
        let down = wanted
            .iter()
            .filter(|(_, pod)| pod.as_ref().is_none_or(|pod| !self.is_up(pod)));
        let most = scaled(most, replicas(self.set), Round::Down).max(1);
        let room = usize::try_from(most)
            .unwrap_or(0)
            .saturating_sub(down.count());
        let old = places.filter_map(|(_, ((_, pod), ended))| {
            let pod = pod.as_ref().filter(|pod| !ended && self.is_old(pod))?;
            Some(Step::Delete(Arc::clone(pod)))
        });
        old.take(room).collect()
    }

    fn is_old(&self, pod: &Pod) -> bool {
        revision(pod) != Some(self.update_revision) && !going(pod)
    }
}

fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Failed" | "Succeeded")
}

#[cfg(test)]
#[path = "plan_test.rs"]
mod tests;
