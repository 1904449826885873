//! The replica sets of a deployment: the one of its template, and those of former ones.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::Resource as _;

use super::annotations;

/// The label that tells the pods of one template from those of another.
pub(super) const TEMPLATE_HASH: &str = "pod-template-hash";

#[derive(Clone, Debug, Default)]
pub(super) struct Sets {
    /// The oldest one that has the template of now.
    pub(super) new: Option<Arc<ReplicaSet>>,
    /// All others, the oldest first.
    pub(super) old: Vec<Arc<ReplicaSet>>,
}

impl Sets {
    pub(super) fn split(deployment: &Deployment, mut all: Vec<Arc<ReplicaSet>>) -> Self {
        all.sort_by_cached_key(|set| {
            (
                set.meta().creation_timestamp.clone().map(|time| time.0),
                set.meta().name.clone(),
            )
        });
        let template = deployment.spec.as_ref().map(|spec| &spec.template);
        let is_new = |set: &Arc<ReplicaSet>| match (template, template_of(set)) {
            (Some(template), Some(of)) => same_template(template, of),
            _ => false,
        };
        let at = all.iter().position(is_new);
        let new = at.map(|at| all.remove(at));
        Self { new, old: all }
    }

    /// Old ones, and then the new one.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }

    pub(super) fn old_sizes(&self) -> Vec<Size> {
        self.old.iter().map(|set| Size::of(set)).collect()
    }

    /// Puts what was written in the place of what it was written from.
    pub(super) fn replace(&mut self, written: Arc<ReplicaSet>) {
        let mut all = self.old.iter_mut().chain(&mut self.new);
        if let Some(set) = all.find(|set| set.meta().uid == written.meta().uid) {
            *set = written;
        }
    }
}

/// What decisions about sizes are made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Size {
    /// Pods it is asked for.
    pub(super) replicas: i32,
    /// Those of them that are available. A status that was counted before the last change of the size may tell
    /// more than there will be; those are not counted.
    pub(super) available: i32,
    /// Pods that its controller has last counted: more than it is asked for while it has some to delete yet.
    pub(super) counted: i32,
    /// How many replicas the deployment had when this size was chosen, and how many at most.
    pub(super) desired: Option<i32>,
    pub(super) most: Option<i32>,
}

impl Size {
    /// The most pods that there may be: what was asked for may be yet to come, what was counted yet to go.
    pub(super) fn at_most(&self) -> i32 {
        self.replicas.max(self.counted)
    }

    pub(super) fn of(set: &ReplicaSet) -> Self {
        let replicas = replicas(set);
        let status = set.status.as_ref();
        let available = status.and_then(|status| status.available_replicas);
        Self {
            replicas,
            available: available.unwrap_or(0).min(replicas),
            counted: status.map_or(0, |status| status.replicas),
            desired: annotations::number(set, annotations::DESIRED),
            most: annotations::number(set, annotations::MOST),
        }
    }
}

pub(super) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
}

pub(super) fn template_of(set: &ReplicaSet) -> Option<&PodTemplateSpec> {
    set.spec.as_ref()?.template.as_ref()
}

/// Whether two templates differ in nothing but the label with their hash.
pub(super) fn same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    without_hash(a) == without_hash(b)
}

fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    let mut metadata = template.metadata.take().unwrap_or_default();
    metadata.creation_timestamp = None;
    if let Some(labels) = &mut metadata.labels {
        labels.remove(TEMPLATE_HASH);
    }
    metadata.labels = metadata.labels.filter(|labels| !labels.is_empty());
    template.metadata = Some(metadata);
    template
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn set(name: &str, created: &str, template: Value) -> Arc<ReplicaSet> {
        let set = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": created},
            "spec": {"replicas": 3, "selector": {}, "template": template},
            "status": {"replicas": 5, "availableReplicas": 5},
        });
        Arc::new(serde_json::from_value(set).expect("a replica set"))
    }

    #[test]
    fn the_new_set_is_the_oldest_of_the_same_template_whatever_its_hash() {
        let template = |hash: &str, image: &str| {
            json!({"metadata": {"labels": {"app": "web", "pod-template-hash": hash}},
                "spec": {"containers": [{"name": "c", "image": image}]}})
        };
        let deployment = json!({"spec": {"selector": {}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "two"}]}}}});
        let deployment = serde_json::from_value(deployment).expect("a deployment");
        let all = vec![
            set("twin", "2026-01-04T00:00:00Z", template("x", "two")),
            set("third", "2026-01-03T00:00:00Z", template("y", "three")),
            set("second", "2026-01-02T00:00:00Z", template("z", "two")),
            set("first", "2026-01-01T00:00:00Z", template("w", "one")),
        ];
        let sets = Sets::split(&deployment, all);
        let name = |set: &Arc<ReplicaSet>| set.metadata.name.clone().expect("a name");
        assert_eq!(sets.new.as_ref().map(name).as_deref(), Some("second"));
        let old: Vec<_> = sets.old.iter().map(name).collect();
        assert_eq!(old, ["first", "third", "twin"]);
    }

    #[test]
    fn pods_counted_before_a_set_was_made_smaller_are_not_available() {
        let size = Size::of(&set("web", "2026-01-01T00:00:00Z", json!({})));
        assert_eq!((size.replicas, size.available), (3, 3));
    }
}
