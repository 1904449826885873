//! One revision: what it holds, and which of two is newer.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::Resource;
use mainstay_client::controller_ref;
use serde_json::{Value, json};

use crate::hash::name_of;
use crate::limits::NAME_MAX;

/// The label with a revision's hash,
const HASH: &str = "controller.kubernetes.io/hash";
/// and the one by which pods tell which revision they are of: its name for stateful sets, its hash for daemon sets,
/// whose revisions have it as well.
pub(crate) const DAEMON_HASH: &str = "controller-revision-hash";

/// What a revision holds: a strategic merge patch that puts the template in the place of another one.
pub(crate) fn snapshot(template: &PodTemplateSpec) -> Value {
    let mut template = json!(template);
    template["$patch"] = json!("replace");
    json!({"spec": {"template": template}})
}

/// The template that a revision holds, if it is one of ours.
pub(crate) fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let data = &revision.data.as_ref()?.0;
    let mut template = data.get("spec")?.get("template")?.clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

pub(super) fn holds(revision: &ControllerRevision, data: &Value) -> bool {
    revision.data.as_ref().is_some_and(|held| &held.0 == data)
}

/// The oldest first.
pub(super) fn sort(revisions: &mut [Arc<ControllerRevision>]) {
    revisions.sort_by_cached_key(|revision| {
        let meta = &revision.metadata;
        let created = meta.creation_timestamp.as_ref().map(|time| time.0);
        (revision.revision, created, meta.name.clone())
    });
}

/// A revision of `owner`. Its name is the owner's and a hash of its data.
pub(super) fn revision<O: Resource<DynamicType = ()>>(
    owner: &O,
    data: &Value,
    labels: Option<&BTreeMap<String, String>>,
    number: i64,
    collisions: i32,
) -> ControllerRevision {
    let meta = owner.meta();
    let hash = name_of(data, Some(collisions));
    let mut revision = ControllerRevision {
        data: Some(RawExtension(data.clone())),
        revision: number,
        ..ControllerRevision::default()
    };
    let mut labels = labels.cloned().unwrap_or_default();
    let label = match O::kind(&()).as_ref() {
        "DaemonSet" => DAEMON_HASH,
        _ => HASH,
    };
    labels.insert(label.to_owned(), hash.clone());
    let name = meta.name.as_deref().unwrap_or_default();
    // As upstream: room is left for a hash.
    let name = name.get(..NAME_MAX - 30).unwrap_or(name);
    revision.metadata.name = Some(format!("{name}-{hash}"));
    revision.metadata.namespace = meta.namespace.clone();
    revision.metadata.labels = Some(labels);
    revision.metadata.annotations = meta.annotations.clone();
    revision.metadata.owner_references = Some(vec![controller_ref(owner)]);
    revision
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};

    #[test]
    fn a_template_comes_out_as_it_went_in() {
        let template = json!({
            "metadata": {"labels": {"app": "db"}},
            "spec": {"containers": [{"name": "c", "image": "db:1"}]},
        });
        let template: PodTemplateSpec = serde_json::from_value(template).expect("a template");
        let data = snapshot(&template);
        assert_eq!(data["spec"]["template"]["$patch"], "replace");
        let owner = json!({"metadata": {"name": "db", "namespace": "default", "uid": "u",
            "annotations": {"kubernetes.io/change-cause": "new"}}});
        let set: StatefulSet = serde_json::from_value(owner.clone()).expect("a set");
        let made = revision(&set, &data, None, 3, 0);
        assert_eq!(template_of(&made), Some(template));
        assert!(holds(&made, &data));
        let name = made.metadata.name.clone().expect("a name");
        let hash = made
            .metadata
            .labels
            .as_ref()
            .map(|labels| labels[HASH].clone());
        assert_eq!(Some(name), hash.map(|hash| format!("db-{hash}")));
        assert_eq!(made.metadata.annotations, set.metadata.annotations);
        let daemons: DaemonSet = serde_json::from_value(owner).expect("a set");
        let made = revision(&daemons, &data, None, 3, 0);
        let labels = made.metadata.labels.expect("it has some");
        assert_eq!(
            Some(format!("db-{}", labels[DAEMON_HASH])),
            made.metadata.name
        );
    }

    #[test]
    fn revisions_are_sorted_by_their_numbers() {
        let of = |number: i64, name: &str| {
            let revision = json!({"metadata": {"name": name}, "revision": number});
            Arc::new(serde_json::from_value::<ControllerRevision>(revision).expect("a revision"))
        };
        let mut all = [of(10, "a"), of(2, "c"), of(2, "b")];
        sort(&mut all);
        let names: Vec<_> = all
            .iter()
            .map(|r| r.metadata.name.clone().expect("a name"))
            .collect();
        assert_eq!(names, ["b", "c", "a"]);
    }
}
