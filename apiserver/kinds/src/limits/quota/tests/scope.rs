//! Which objects quotas are for.

use super::super::matches;
use super::{of, pod, quota, scoped, selecting};
use serde_json::json;

#[test]
fn a_quota_matches_what_it_limits() {
    for (name, plural, expected) in [
        ("pods", "pods", true),
        ("count/pods", "pods", true),
        ("limits.memory", "pods", true),
        ("hugepages-2Mi", "pods", true),
        ("requests.hugepages-2Mi", "pods", true),
        ("requests.example.com/gpu", "pods", true),
        ("example.com/gpu", "pods", false),
        ("requests.storage", "pods", false),
        ("requests.storage", "persistentvolumeclaims", true),
        (
            "a.b.storageclass.storage.k8s.io/requests.storage",
            "persistentvolumeclaims",
            true,
        ),
        (
            "a.storageclass.storage.k8s.io/other",
            "persistentvolumeclaims",
            false,
        ),
        ("services.nodeports", "services", true),
        (
            "gpu.deviceclass.resource.k8s.io/devices",
            "resourceclaims",
            true,
        ),
        ("secrets", "secrets", true),
        ("deployments", "deployments", false),
        ("count/deployments.apps", "deployments", true),
        ("count/deployments", "deployments", false),
    ] {
        let quota = quota(json!({name: "1"}), json!({}));
        assert_eq!(
            matches(&quota, of(plural), &json!({})),
            Ok(expected),
            "{name} {plural}"
        );
    }
    let fresh = json!({"spec": {"hard": {"pods": "1"}}});
    assert_eq!(
        matches(&fresh, of("pods"), &json!({})),
        Ok(false),
        "bounds not in force yet"
    );
}

#[test]
fn scopes_choose_pods() {
    let plain = json!({"spec": {"containers": [{}]}});
    let ending = json!({"spec": {"activeDeadlineSeconds": 0, "containers": [{}]}});
    let burstable = pod(json!({"cpu": "1"}), json!({}));
    let known = json!({"spec": {"containers": [{}]}, "status": {"qosClass": "Burstable"}});
    let urgent = json!({"spec": {"priorityClassName": "high"}});
    let term = json!({"namespaceSelector": {}, "topologyKey": "zone"});
    let near = json!({"spec": {"affinity": {
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}});
    let far = json!({"spec": {"affinity": {"podAntiAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"podAffinityTerm": {"namespaces": ["other"]}}]}}}});
    for (quota, object, expected) in [
        (scoped(json!(["Terminating"])), &ending, true),
        (scoped(json!(["Terminating"])), &plain, false),
        (scoped(json!(["NotTerminating"])), &ending, false),
        (scoped(json!(["NotTerminating"])), &plain, true),
        (scoped(json!(["BestEffort"])), &plain, true),
        (scoped(json!(["BestEffort"])), &burstable, false),
        (scoped(json!(["BestEffort"])), &known, false),
        (scoped(json!(["NotBestEffort"])), &burstable, true),
        (scoped(json!(["BestEffort", "Terminating"])), &ending, true),
        (scoped(json!(["BestEffort", "Terminating"])), &plain, false),
        (scoped(json!(["PriorityClass"])), &urgent, true),
        (scoped(json!(["PriorityClass"])), &plain, false),
        (scoped(json!(["CrossNamespacePodAffinity"])), &near, true),
        (scoped(json!(["CrossNamespacePodAffinity"])), &far, true),
        (scoped(json!(["CrossNamespacePodAffinity"])), &plain, false),
        (scoped(json!(["VolumeAttributesClass"])), &plain, false),
        (
            selecting("PriorityClass", "In", json!(["high", "top"])),
            &urgent,
            true,
        ),
        (
            selecting("PriorityClass", "In", json!(["low"])),
            &urgent,
            false,
        ),
        (
            selecting("PriorityClass", "NotIn", json!(["low"])),
            &urgent,
            true,
        ),
        (
            selecting("PriorityClass", "NotIn", json!(["low"])),
            &plain,
            true,
        ),
        (
            selecting("PriorityClass", "Exists", json!([])),
            &plain,
            false,
        ),
        (
            selecting("PriorityClass", "DoesNotExist", json!([])),
            &plain,
            true,
        ),
        (selecting("BestEffort", "Exists", json!([])), &plain, true),
    ] {
        assert_eq!(
            matches(&quota, of("pods"), object),
            Ok(expected),
            "{} {object}",
            quota["spec"]
        );
    }
}

#[test]
fn scopes_choose_claims_and_nothing_else() {
    let wants = json!({"spec": {"volumeAttributesClassName": "gold"}});
    let moves = json!({"spec": {"volumeAttributesClassName": "gold"}, "status": {
        "currentVolumeAttributesClassName": "iron",
        "modifyVolumeStatus": {"targetVolumeAttributesClassName": "gold"}}});
    let plain = json!({"spec": {}});
    for (quota, object, expected) in [
        (scoped(json!(["VolumeAttributesClass"])), &wants, true),
        (scoped(json!(["VolumeAttributesClass"])), &plain, false),
        (scoped(json!(["BestEffort"])), &plain, false),
        (
            selecting("VolumeAttributesClass", "In", json!(["iron"])),
            &wants,
            false,
        ),
        (
            selecting("VolumeAttributesClass", "In", json!(["iron"])),
            &moves,
            true,
        ),
        (
            selecting("VolumeAttributesClass", "NotIn", json!(["iron"])),
            &plain,
            true,
        ),
    ] {
        let found = matches(&quota, of("persistentvolumeclaims"), object);
        assert_eq!(found, Ok(expected), "{} {object}", quota["spec"]);
    }
    let mut counting = scoped(json!(["NotTerminating"]));
    counting["status"]["hard"] = json!({"secrets": "1"});
    assert_eq!(matches(&counting, of("secrets"), &json!({})), Ok(false));
}
