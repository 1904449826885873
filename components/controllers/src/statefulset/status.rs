//! What the status of a stateful set says.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;

use super::identity::{replicas, revision};
use super::plan::min_ready;
use crate::pods::{is_available, is_ready, phase};

/// What is counted.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    pub(super) set: &'a StatefulSet,
    pub(super) pods: &'a [Arc<Pod>],
    pub(super) current_revision: &'a str,
    pub(super) update_revision: &'a str,
    pub(super) collisions: i32,
    pub(super) now: Timestamp,
}

impl Counted<'_> {
    fn count(&self, is: impl Fn(&Pod) -> bool) -> i32 {
        let count = self.pods.iter().filter(|pod| is(pod)).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    pub(super) fn status(&self) -> StatefulSetStatus {
        let runs = |pod: &Pod| phase(pod) == "Running" && is_ready(pod);
        let least = min_ready(self.set);
        let of = |wanted: &str| {
            self.count(|pod| {
                let stays = !phase(pod).is_empty() && pod.metadata.deletion_timestamp.is_none();
                stays && revision(pod) == Some(wanted)
            })
        };
        let mut status = StatefulSetStatus {
            observed_generation: self.set.metadata.generation,
            replicas: self.count(|pod| !phase(pod).is_empty()),
            ready_replicas: Some(self.count(runs)),
            available_replicas: Some(
                self.count(|pod| runs(pod) && is_available(pod, least, self.now)),
            ),
            current_replicas: Some(of(self.current_revision)),
            updated_replicas: Some(of(self.update_revision)),
            current_revision: Some(self.current_revision.to_owned()),
            update_revision: Some(self.update_revision.to_owned()),
            collision_count: Some(self.collisions),
            conditions: self
                .set
                .status
                .as_ref()
                .and_then(|status| status.conditions.clone()),
        };
        if self.is_complete(&status) {
            status.current_replicas = status.updated_replicas;
            status.current_revision = status.update_revision.clone();
        }
        status
    }

    /// Whether all pods are of the new revision and ready: from now on it is the revision of now.
    fn is_complete(&self, status: &StatefulSetStatus) -> bool {
        let strategy = self
            .set
            .spec
            .as_ref()
            .and_then(|spec| spec.update_strategy.as_ref());
        let on_delete = strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete");
        let wanted = replicas(self.set);
        !on_delete
            && status.replicas == wanted
            && status.updated_replicas == Some(wanted)
            && status.ready_replicas == Some(wanted)
    }
}

/// Whether two statuses say the same; what is not told is zero.
pub(super) fn same(a: &StatefulSetStatus, b: &StatefulSetStatus) -> bool {
    let counts = |s: &StatefulSetStatus| {
        let told = [
            s.ready_replicas,
            s.available_replicas,
            s.current_replicas,
            s.updated_replicas,
            s.collision_count,
        ];
        (s.replicas, told.map(|count| count.unwrap_or(0)))
    };
    counts(a) == counts(b)
        && a.observed_generation == b.observed_generation
        && a.current_revision == b.current_revision
        && a.update_revision == b.update_revision
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(phase: &str, ready: bool, revision: &str, goes: bool) -> Arc<Pod> {
        let mut pod = json!({
            "metadata": {"labels": {"controller-revision-hash": revision}},
            "status": {"phase": phase, "conditions": [{"type": "Ready",
                "status": if ready { "True" } else { "False" },
                "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        });
        if goes {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    fn status(pods: &[Arc<Pod>], more: &Value) -> StatefulSetStatus {
        let mut spec =
            json!({"replicas": 2, "selector": {}, "template": {}, "minReadySeconds": 30});
        for (name, value) in more.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
        let set = json!({"metadata": {"name": "db", "generation": 4}, "spec": spec});
        let set = serde_json::from_value(set).expect("a stateful set");
        let counted = Counted {
            set: &set,
            pods,
            current_revision: "A",
            update_revision: "B",
            collisions: 0,
            now: "2026-01-01T00:00:20Z".parse().expect("a time"),
        };
        counted.status()
    }

    #[test]
    fn pods_are_counted_by_state_and_revision() {
        let pods = [
            pod("Running", true, "A", false),
            pod("Running", true, "B", true),
            pod("Pending", false, "B", false),
        ];
        let told = status(&pods, &json!({}));
        assert_eq!((told.replicas, told.observed_generation), (3, Some(4)));
        assert_eq!(
            (told.ready_replicas, told.available_replicas),
            (Some(2), Some(0))
        );
        assert_eq!(
            (told.current_replicas, told.updated_replicas),
            (Some(1), Some(1))
        );
        assert_eq!(told.current_revision.as_deref(), Some("A"));
        assert!(same(&told, &told.clone()));
    }

    #[test]
    fn an_update_is_complete_when_all_pods_are_new_and_ready() {
        let done = [
            pod("Running", true, "B", false),
            pod("Running", true, "B", false),
        ];
        let told = status(&done, &json!({}));
        assert_eq!(
            (told.current_replicas, told.current_revision.as_deref()),
            (Some(2), Some("B"))
        );
        let told = status(&done, &json!({"updateStrategy": {"type": "OnDelete"}}));
        assert_eq!(
            (told.current_replicas, told.current_revision.as_deref()),
            (Some(0), Some("A"))
        );
        let told = status(&done[..1], &json!({}));
        assert_eq!(told.current_revision.as_deref(), Some("A"));
    }
}
