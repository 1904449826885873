//! Who a pod of a stateful set is: its ordinal, and everything that follows from it.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};

use crate::history::DAEMON_HASH as REVISION;
use crate::pods::pod_from;

const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

pub(super) fn set_name(set: &StatefulSet) -> &str {
    set.metadata.name.as_deref().unwrap_or_default()
}

/// The first ordinal.
pub(super) fn start(set: &StatefulSet) -> i32 {
    let ordinals = set.spec.as_ref().and_then(|spec| spec.ordinals.as_ref());
    ordinals.and_then(|ordinals| ordinals.start).unwrap_or(0)
}

pub(super) fn replicas(set: &StatefulSet) -> i32 {
    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
    replicas.unwrap_or(1).max(0)
}

/// Name of the set and ordinal that the name of a pod says.
fn parts(pod: &Pod) -> Option<(&str, i32)> {
    let (set, ordinal) = pod.metadata.name.as_deref()?.rsplit_once('-')?;
    let is_number = !ordinal.is_empty() && ordinal.bytes().all(|byte| byte.is_ascii_digit());
    Some((set, is_number.then(|| ordinal.parse().ok())??))
}

pub(super) fn ordinal(pod: &Pod) -> Option<i32> {
    parts(pod).map(|(_, ordinal)| ordinal)
}

/// Whether a pod has a name that the set gives.
pub(super) fn is_member(set: &StatefulSet, pod: &Pod) -> bool {
    parts(pod).is_some_and(|(name, _)| name == set_name(set))
}

/// Whether the set wants a pod of this ordinal.
pub(super) fn is_wanted(set: &StatefulSet, ordinal: i32) -> bool {
    let first = start(set);
    (first..first.saturating_add(replicas(set))).contains(&ordinal)
}

/// The name of the revision that a pod was made from.
pub(super) fn revision(pod: &Pod) -> Option<&str> {
    pod.metadata
        .labels
        .as_ref()?
        .get(REVISION)
        .map(String::as_str)
}

/// The pod of one ordinal as one revision describes it.
pub(super) fn pod(
    set: &StatefulSet,
    template: &PodTemplateSpec,
    revision: &str,
    ordinal: i32,
) -> Pod {
    let mut pod = pod_from(template, set);
    pod.metadata.name = Some(format!("{}-{ordinal}", set_name(set)));
    identify(set, &mut pod);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION.to_owned(), revision.to_owned());
    let name = pod.metadata.name.clone();
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = name;
    spec.subdomain = set.spec.as_ref().and_then(|spec| spec.service_name.clone());
    attach(set, &mut pod);
    pod
}

/// Gives a pod the labels of its identity.
pub(super) fn identify(set: &StatefulSet, pod: &mut Pod) {
    pod.metadata.namespace = set.metadata.namespace.clone();
    let name = pod.metadata.name.clone().unwrap_or_default();
    let index = ordinal(pod).unwrap_or(0).to_string();
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_NAME.to_owned(), name);
    labels.insert(POD_INDEX.to_owned(), index);
}

/// Whether a pod has the labels of its identity.
pub(super) fn is_identified(set: &StatefulSet, pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    let label = |name: &str| labels.and_then(|labels| labels.get(name));
    let index = ordinal(pod).map(|ordinal| ordinal.to_string());
    is_member(set, pod)
        && label(POD_NAME) == pod.metadata.name.as_ref()
        && label(POD_INDEX) == index.as_ref()
}

fn templates(set: &StatefulSet) -> &[PersistentVolumeClaim] {
    let templates = set
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_claim_templates.as_deref());
    templates.unwrap_or_default()
}

/// The claims of a pod, as they are created, with the names of the volumes they are for.
pub(super) fn claims(set: &StatefulSet, pod: &Pod) -> Vec<(String, PersistentVolumeClaim)> {
    let index = ordinal(pod).unwrap_or(0);
    let claim = |template: &PersistentVolumeClaim| {
        let volume = template.metadata.name.clone().unwrap_or_default();
        let mut claim = template.clone();
        claim.status = None;
        claim.metadata.name = Some(format!("{volume}-{}-{index}", set_name(set)));
        claim.metadata.namespace = set.metadata.namespace.clone();
        let wanted = set
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.match_labels.clone());
        claim
            .metadata
            .labels
            .get_or_insert_default()
            .extend(wanted.unwrap_or_default());
        (volume, claim)
    };
    templates(set).iter().map(claim).collect()
}

/// Makes the pod's volumes those of its claims; other volumes stay.
pub(super) fn attach(set: &StatefulSet, pod: &mut Pod) {
    let claims = claims(set, pod);
    if claims.is_empty() {
        return;
    }
    let spec = pod.spec.get_or_insert_default();
    let others = spec.volumes.take().unwrap_or_default().into_iter();
    let others = others.filter(|volume| claims.iter().all(|(name, _)| name != &volume.name));
    let others: Vec<Volume> = others.collect();
    let volumes = claims.iter().map(|(name, claim)| Volume {
        name: name.clone(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim.metadata.name.clone().unwrap_or_default(),
            read_only: None,
        }),
        ..Volume::default()
    });
    spec.volumes = Some(volumes.chain(others).collect());
}

/// Whether the pod's volumes are those of its claims.
pub(super) fn is_attached(set: &StatefulSet, pod: &Pod) -> bool {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref());
    let volumes = volumes.unwrap_or_default();
    claims(set, pod).iter().all(|(name, claim)| {
        let volume = volumes.iter().find(|volume| &volume.name == name);
        let source = volume.and_then(|volume| volume.persistent_volume_claim.as_ref());
        source.is_some_and(|source| Some(&source.claim_name) == claim.metadata.name.as_ref())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set() -> StatefulSet {
        let set = json!({
            "metadata": {"name": "db", "namespace": "default", "uid": "u"},
            "spec": {
                "replicas": 3, "serviceName": "dbs", "ordinals": {"start": 2},
                "selector": {"matchLabels": {"app": "db"}},
                "template": {
                    "metadata": {"labels": {"app": "db"}},
                    "spec": {"containers": [{"name": "c"}],
                        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]},
                },
                "volumeClaimTemplates": [{"metadata": {"name": "data", "labels": {"tier": "1"}},
                    "spec": {"accessModes": ["ReadWriteOnce"]}}],
            },
        });
        serde_json::from_value(set).expect("a stateful set")
    }

    #[test]
    fn a_pod_has_the_name_labels_and_volumes_of_its_ordinal() {
        let set = set();
        let template = &set.spec.as_ref().expect("it has one").template;
        let made = pod(&set, template, "db-abc", 4);
        let value = json!(made);
        assert_eq!(value["metadata"]["name"], "db-4");
        assert_eq!(
            value["metadata"]["labels"],
            json!({
                "app": "db",
                "apps.kubernetes.io/pod-index": "4",
                "controller-revision-hash": "db-abc",
                "statefulset.kubernetes.io/pod-name": "db-4",
            })
        );
        assert_eq!(
            (&value["spec"]["hostname"], &value["spec"]["subdomain"]),
            (&json!("db-4"), &json!("dbs"))
        );
        assert_eq!(
            value["spec"]["volumes"],
            json!([
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-4"}},
                {"name": "tmp", "emptyDir": {}},
            ])
        );
        assert!(is_identified(&set, &made) && is_attached(&set, &made));
        let (volume, claim) = &claims(&set, &made)[0];
        assert_eq!(
            (volume.as_str(), claim.metadata.name.as_deref()),
            ("data", Some("data-db-4"))
        );
        assert_eq!(
            json!(claim.metadata.labels),
            json!({"app": "db", "tier": "1"})
        );
    }

    #[test]
    fn names_say_ordinals() {
        let set = set();
        for (name, member, number, wanted) in [
            ("db-2", true, Some(2), true),
            ("db-4", true, Some(4), true),
            ("db-5", true, Some(5), false),
            ("db-1", true, Some(1), false),
            ("db-x", false, None, false),
            ("db-", false, None, false),
            ("other-3", false, Some(3), true),
            ("my-db-3", false, Some(3), true),
            ("db-99999999999", false, None, false),
        ] {
            let pod = json!({"metadata": {"name": name}});
            let pod: Pod = serde_json::from_value(pod).expect("a pod");
            assert_eq!(is_member(&set, &pod), member, "{name}");
            assert_eq!(ordinal(&pod), number, "{name}");
            assert_eq!(
                ordinal(&pod).is_some_and(|n| is_wanted(&set, n)),
                wanted,
                "{name}"
            );
        }
    }
}
