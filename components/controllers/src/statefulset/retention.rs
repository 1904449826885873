//! Who owns the claims of a pod, and so with whom they go.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use mainstay_client::{controller_of, controller_ref};

use super::identity::{is_wanted, ordinal};

/// Whether the claims go with the set, and whether they go with a pod that the set no longer wants.
fn policy(set: &StatefulSet) -> (bool, bool) {
    let spec = set.spec.as_ref();
    let policy = spec.and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
    let deletes = |policy: Option<&String>| policy.is_some_and(|policy| policy == "Delete");
    let when_deleted = policy.and_then(|policy| policy.when_deleted.as_ref());
    let when_scaled = policy.and_then(|policy| policy.when_scaled.as_ref());
    (deletes(when_deleted), deletes(when_scaled))
}

/// Whether the set and whether the pod is to own a claim of the pod.
fn owners(set: &StatefulSet, pod: &Pod) -> (bool, bool) {
    let (with_set, with_pod) = policy(set);
    let surplus = !ordinal(pod).is_some_and(|ordinal| is_wanted(set, ordinal));
    let pod_owns = with_pod && surplus;
    (with_set && !pod_owns, pod_owns)
}

fn refers<O: Resource<DynamicType = ()>>(reference: &OwnerReference, owner: &O) -> bool {
    reference.kind == O::kind(&()) && Some(&reference.uid) == owner.meta().uid.as_ref()
}

/// Owner references that the claim is to have, if it has others now. Nobody's claims are taken away: one with a
/// controller that is neither the set nor one of its pods stays as it is.
pub(super) fn corrected(
    set: &StatefulSet,
    pod: &Pod,
    claim: &PersistentVolumeClaim,
) -> Option<Vec<OwnerReference>> {
    let ours = |reference: &OwnerReference| {
        let named = |name: &Option<String>, kind: &str| {
            reference.kind == kind && Some(&reference.name) == name.as_ref()
        };
        named(&set.metadata.name, "StatefulSet") || named(&pod.metadata.name, "Pod")
    };
    if controller_of(claim).is_some_and(|reference| !ours(reference)) {
        return None;
    }
    let (set_owns, pod_owns) = owners(set, pod);
    let now = claim.metadata.owner_references.clone().unwrap_or_default();
    let others = now
        .iter()
        .filter(|reference| !refers(reference, set) && !is_pod(reference, pod));
    let mut wanted: Vec<OwnerReference> = others.cloned().collect();
    if set_owns {
        wanted.push(controller_ref(set));
    }
    if pod_owns {
        wanted.push(controller_ref(pod));
    }
    let has = |reference: &OwnerReference| now.contains(reference);
    (wanted.len() != now.len() || !wanted.iter().all(has)).then_some(wanted)
}

/// This pod, or one that had its name.
fn is_pod(reference: &OwnerReference, pod: &Pod) -> bool {
    reference.kind == "Pod" && Some(&reference.name) == pod.metadata.name.as_ref()
}

/// Whether a claim is about to go with a pod of former times: the new pod must wait for that.
pub(super) fn is_stale(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    let references = claim.metadata.owner_references.iter().flatten();
    let mut pods = references.filter(|reference| is_pod(reference, pod));
    pods.any(|reference| Some(&reference.uid) != pod.metadata.uid.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn set(deleted: &str, scaled: &str) -> StatefulSet {
        let set = json!({"metadata": {"name": "db", "uid": "set"}, "spec": {
            "replicas": 2, "selector": {}, "template": {},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled}}});
        serde_json::from_value(set).expect("a stateful set")
    }

    fn pod(ordinal: i32) -> Pod {
        let name = format!("db-{ordinal}");
        let pod = json!({"metadata": {"name": name, "uid": format!("pod-{ordinal}")}});
        serde_json::from_value(pod).expect("a pod")
    }

    fn claim(references: Value) -> PersistentVolumeClaim {
        let claim = json!({"metadata": {"name": "data", "ownerReferences": references}});
        serde_json::from_value(claim).expect("a claim")
    }

    #[test]
    fn claims_go_with_whom_the_policy_says() {
        for (deleted, scaled, ordinal, expected) in [
            ("Retain", "Retain", 1, vec![]),
            ("Retain", "Retain", 5, vec![]),
            ("Delete", "Retain", 1, vec!["set"]),
            ("Delete", "Retain", 5, vec!["set"]),
            ("Retain", "Delete", 1, vec![]),
            ("Retain", "Delete", 5, vec!["pod-5"]),
            ("Delete", "Delete", 1, vec!["set"]),
            ("Delete", "Delete", 5, vec!["pod-5"]),
        ] {
            let (set, pod) = (set(deleted, scaled), pod(ordinal));
            let both = claim(json!([controller_ref(&set), controller_ref(&pod)]));
            let wanted = corrected(&set, &pod, &both).expect("never both");
            let uids: Vec<_> = wanted
                .iter()
                .map(|reference| reference.uid.as_str())
                .collect();
            assert_eq!(uids, expected, "{deleted} {scaled} {ordinal}");
            assert_eq!(
                corrected(&set, &pod, &claim(json!(wanted))),
                None,
                "nothing more to do"
            );
        }
    }

    #[test]
    fn claims_of_others_are_left_alone_and_those_of_former_pods_are_stale() {
        let set = set("Delete", "Delete");
        let other = json!([{"apiVersion": "v1", "kind": "Other", "name": "x", "uid": "x", "controller": true}]);
        assert_eq!(corrected(&set, &pod(1), &claim(other)), None);
        let former = json!([{"apiVersion": "v1", "kind": "Pod", "name": "db-1", "uid": "former"}]);
        assert!(is_stale(&pod(1), &claim(former)));
        assert!(!is_stale(&pod(1), &claim(json!([controller_ref(&pod(1))]))));
        assert!(!is_stale(&pod(1), &claim(json!([]))));
    }
}
