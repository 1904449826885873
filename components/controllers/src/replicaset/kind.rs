//! What differs between a replica set and a replication controller.

use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{
    PodTemplateSpec, ReplicationController, ReplicationControllerCondition,
    ReplicationControllerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Resource;
use kube::core::Selector;
use mainstay_client::{Kind, selector};
use serde::Serialize;

use super::status::{Condition, Status};

/// A kind that keeps a number of equal pods.
pub(super) trait Replicated:
    Kind + Resource<Scope = NamespaceResourceScope> + Serialize
{
    fn replicas(&self) -> usize;
    fn min_ready_seconds(&self) -> i32;
    fn template(&self) -> Option<&PodTemplateSpec>;
    /// `None` selects nothing; an error is one that validation has let through.
    fn selector(&self) -> Result<Option<Selector>, String>;
    fn status(&self) -> Status;
    fn with_status(&self, status: Status) -> Self;
}

fn count(replicas: Option<i32>) -> usize {
    // The apiserver's default is 1, and refuses negative numbers.
    usize::try_from(replicas.unwrap_or(1)).unwrap_or(0)
}

impl Replicated for ReplicaSet {
    fn replicas(&self) -> usize {
        count(self.spec.as_ref().and_then(|spec| spec.replicas))
    }

    fn min_ready_seconds(&self) -> i32 {
        let seconds = self.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
        seconds.unwrap_or(0)
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn selector(&self) -> Result<Option<Selector>, String> {
        selector(self.spec.as_ref().map(|spec| &spec.selector))
    }

    fn status(&self) -> Status {
        let status = self.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default().into_iter();
        Status {
            replicas: status.replicas,
            fully_labeled: status.fully_labeled_replicas.unwrap_or(0),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            terminating: status.terminating_replicas.unwrap_or(0),
            observed_generation: status.observed_generation.unwrap_or(0),
            conditions: conditions
                .map(|c| Condition {
                    type_: c.type_,
                    status: c.status,
                    reason: c.reason,
                    message: c.message,
                    since: c.last_transition_time,
                })
                .collect(),
        }
    }

    fn with_status(&self, status: Status) -> Self {
        let conditions = status.conditions.into_iter().map(|c| ReplicaSetCondition {
            type_: c.type_,
            status: c.status,
            reason: c.reason,
            message: c.message,
            last_transition_time: c.since,
        });
        let conditions: Vec<_> = conditions.collect();
        Self {
            status: Some(ReplicaSetStatus {
                replicas: status.replicas,
                fully_labeled_replicas: Some(status.fully_labeled),
                ready_replicas: Some(status.ready),
                available_replicas: Some(status.available),
                terminating_replicas: Some(status.terminating),
                observed_generation: Some(status.observed_generation),
                conditions: (!conditions.is_empty()).then_some(conditions),
            }),
            ..self.clone()
        }
    }
}

impl Replicated for ReplicationController {
    fn replicas(&self) -> usize {
        count(self.spec.as_ref().and_then(|spec| spec.replicas))
    }

    fn min_ready_seconds(&self) -> i32 {
        let seconds = self.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
        seconds.unwrap_or(0)
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn selector(&self) -> Result<Option<Selector>, String> {
        let labels = self.spec.as_ref().and_then(|spec| spec.selector.clone());
        // Unlike the other kind's, an empty one selects nothing.
        let labels: Option<BTreeMap<_, _>> = labels.filter(|labels| !labels.is_empty());
        let all = labels.map(|labels| LabelSelector {
            match_labels: Some(labels),
            match_expressions: None,
        });
        selector(all.as_ref())
    }

    fn status(&self) -> Status {
        let status = self.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default().into_iter();
        Status {
            replicas: status.replicas,
            fully_labeled: status.fully_labeled_replicas.unwrap_or(0),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            terminating: 0,
            observed_generation: status.observed_generation.unwrap_or(0),
            conditions: conditions
                .map(|c| Condition {
                    type_: c.type_,
                    status: c.status,
                    reason: c.reason,
                    message: c.message,
                    since: c.last_transition_time,
                })
                .collect(),
        }
    }

    fn with_status(&self, status: Status) -> Self {
        let conditions = status.conditions.into_iter();
        let conditions = conditions.map(|c| ReplicationControllerCondition {
            type_: c.type_,
            status: c.status,
            reason: c.reason,
            message: c.message,
            last_transition_time: c.since,
        });
        let conditions: Vec<_> = conditions.collect();
        Self {
            status: Some(ReplicationControllerStatus {
                replicas: status.replicas,
                fully_labeled_replicas: Some(status.fully_labeled),
                ready_replicas: Some(status.ready),
                available_replicas: Some(status.available),
                observed_generation: Some(status.observed_generation),
                conditions: (!conditions.is_empty()).then_some(conditions),
            }),
            ..self.clone()
        }
    }
}
