//! What the status of a deployment says.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet, ReplicaSetStatus};

use super::bounds::Bounds;
use super::conditions::{
    AVAILABLE, PROGRESSING, REPLICA_FAILURE, condition, deadline, from_set, get, has_reason,
    is_late, reason, remove, set,
};
use super::sets::{Sets, replicas};

/// What is counted. `deployment` has the status of before, with the conditions that this round has added.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) bounds: &'a Bounds,
    pub(super) sets: &'a Sets,
    pub(super) now: Timestamp,
}

impl Seen<'_> {
    fn sum(&self, of: impl Fn(&ReplicaSetStatus) -> Option<i32>) -> i32 {
        let statuses = self.sets.all().filter_map(|set| set.status.as_ref());
        statuses.map(|status| of(status).unwrap_or(0)).sum()
    }

    fn name(&self) -> &str {
        self.deployment.metadata.name.as_deref().unwrap_or_default()
    }

    /// Counts, and whether enough pods are available.
    pub(super) fn status(&self) -> DeploymentStatus {
        let before = self.deployment.status.clone().unwrap_or_default();
        let all = self.sum(|status| Some(status.replicas));
        let asked: i32 = self.sets.all().map(|set| replicas(set)).sum();
        let available = self.sum(|status| status.available_replicas);
        let new = self.sets.new.as_ref().and_then(|set| set.status.as_ref());
        let count = |count: i32| (count != 0).then_some(count);
        let mut status = DeploymentStatus {
            observed_generation: self.deployment.metadata.generation,
            replicas: count(all),
            updated_replicas: count(new.map_or(0, |status| status.replicas)),
            ready_replicas: count(self.sum(|status| status.ready_replicas)),
            available_replicas: count(available),
            unavailable_replicas: count((asked - available).max(0)),
            terminating_replicas: Some(self.sum(|status| status.terminating_replicas)),
            collision_count: before.collision_count,
            conditions: before.conditions,
        };
        let (enough, why, message) = match available >= self.bounds.least() {
            true => (
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
            ),
            false => (
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            ),
        };
        set(
            &mut status,
            condition(AVAILABLE, enough, why, message.to_owned(), self.now),
        );
        status
    }

    /// Also how far the rollout is.
    pub(super) fn rollout_status(&self) -> DeploymentStatus {
        let mut status = self.status();
        let before = get(&status, PROGRESSING).cloned();
        let over = status.replicas == status.updated_replicas
            && has_reason(before.as_ref(), reason::SET_AVAILABLE);
        if deadline(self.deployment).is_none() {
            remove(&mut status, PROGRESSING);
        } else if !over {
            self.tell_progress(&mut status);
        }
        match self.failure() {
            Some(failure) => set(&mut status, failure),
            None => remove(&mut status, REPLICA_FAILURE),
        }
        status
    }

    fn tell_progress(&self, status: &mut DeploymentStatus) {
        let what = match &self.sets.new {
            Some(set) => {
                let name = set.metadata.name.as_deref().unwrap_or_default();
                format!("ReplicaSet \"{name}\"")
            }
            None => format!("Deployment \"{}\"", self.name()),
        };
        let told = |status: &str, reason: &str, text: &str| {
            condition(
                PROGRESSING,
                status,
                reason,
                format!("{what} {text}"),
                self.now,
            )
        };
        if is_complete(self.deployment, self.bounds, status) {
            let done = told(
                "True",
                reason::SET_AVAILABLE,
                "has successfully progressed.",
            );
            set(status, done);
        } else if self.has_progressed(status) {
            let mut moving = told("True", reason::SET_UPDATED, "is progressing.");
            // Unlike others, this condition shows its last update even when it stays the same.
            if let Some(old) = get(status, PROGRESSING)
                && old.status == "True"
            {
                moving.last_transition_time = old.last_transition_time.clone();
            }
            remove(status, PROGRESSING);
            set(status, moving);
        } else if is_late(self.deployment, status, self.now) {
            let late = told("False", reason::TIMED_OUT, "has timed out progressing.");
            set(status, late);
        }
    }

    /// More new pods, fewer old ones, or more that are ready or available than before.
    fn has_progressed(&self, now: &DeploymentStatus) -> bool {
        let none = DeploymentStatus::default();
        let before = self.deployment.status.as_ref().unwrap_or(&none);
        let n = |count: Option<i32>| count.unwrap_or(0);
        let old = |status: &DeploymentStatus| n(status.replicas) - n(status.updated_replicas);
        n(now.updated_replicas) > n(before.updated_replicas)
            || old(now) < old(before)
            || n(now.ready_replicas) > n(before.ready_replicas)
            || n(now.available_replicas) > n(before.available_replicas)
    }

    /// A failure of the new set before one of the others.
    fn failure(&self) -> Option<k8s_openapi::api::apps::v1::DeploymentCondition> {
        let failed = |set: &ReplicaSet| {
            let mut conditions = set
                .status
                .iter()
                .flat_map(|status| status.conditions.iter().flatten());
            conditions
                .find(|condition| condition.type_ == REPLICA_FAILURE)
                .map(from_set)
        };
        let new = self.sets.new.as_ref().and_then(|set| failed(set));
        new.or_else(|| self.sets.old.iter().find_map(|set| failed(set)))
    }
}

/// Whether all pods are of the template of now and available, and no others are there.
pub(super) fn is_complete(
    deployment: &Deployment,
    bounds: &Bounds,
    status: &DeploymentStatus,
) -> bool {
    let all = [
        status.updated_replicas,
        status.replicas,
        status.available_replicas,
    ];
    all.iter()
        .all(|count| count.unwrap_or(0) == bounds.replicas)
        && status.observed_generation >= deployment.metadata.generation
}

/// Whether two statuses say the same; what is not told is zero.
pub(super) fn same(a: &DeploymentStatus, b: &DeploymentStatus) -> bool {
    let counts = |s: &DeploymentStatus| {
        [
            s.replicas,
            s.updated_replicas,
            s.ready_replicas,
            s.available_replicas,
            s.unavailable_replicas,
            s.terminating_replicas,
            s.collision_count,
        ]
        .map(|count| count.unwrap_or(0))
    };
    let none = Vec::new();
    counts(a) == counts(b)
        && a.observed_generation == b.observed_generation
        && a.conditions.as_ref().unwrap_or(&none) == b.conditions.as_ref().unwrap_or(&none)
}

#[cfg(test)]
#[path = "status_test.rs"]
mod tests;
