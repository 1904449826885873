//! What objects use.

use super::super::usage;
use super::{NOW, of, pod, printed};
use serde_json::json;

#[test]
fn usage_of_pods() {
    let compute = pod(
        json!({"cpu": "1", "memory": "1Gi", "ephemeral-storage": "2Gi", "hugepages-2Mi": "4Mi",
            "example.com/gpu": "3", "kubernetes.io/batch": "1"}),
        json!({"cpu": "2", "example.com/gpu": "3"}),
    );
    let full = json!({
        "count/pods": "1", "pods": "1", "cpu": "1", "requests.cpu": "1", "limits.cpu": "2",
        "memory": "1Gi", "requests.memory": "1Gi", "ephemeral-storage": "2Gi",
        "requests.ephemeral-storage": "2Gi", "hugepages-2Mi": "4Mi", "requests.hugepages-2Mi": "4Mi",
        "requests.example.com/gpu": "3"});
    assert_eq!(printed(&usage(of("pods"), &compute, NOW)), full);

    let over = json!({"count/pods": "1"});
    let bare = json!({"count/pods": "1", "pods": "1"});
    for (what, metadata, phase, expected) in [
        ("a pod that ended well", json!({}), "Succeeded", &over),
        ("a pod that ended badly", json!({}), "Failed", &over),
        ("a pod nobody has deleted", json!({}), "Running", &bare),
        (
            "a pod that may still end in time",
            json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30}),
            "Running",
            &bare,
        ),
        (
            "a pod whose node does not answer",
            json!({"deletionTimestamp": "2025-12-31T23:59:29Z", "deletionGracePeriodSeconds": 30}),
            "Running",
            &over,
        ),
    ] {
        let pod =
            json!({"metadata": metadata, "spec": {"containers": [{}]}, "status": {"phase": phase}});
        assert_eq!(&printed(&usage(of("pods"), &pod, NOW)), expected, "{what}");
    }
}

#[test]
fn usage_of_pods_with_more_than_containers() {
    let one = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}});
    let sidecar = |cpu: &str| {
        let mut container = one(cpu);
        container["restartPolicy"] = "Always".into();
        container
    };
    for (what, spec, requests, limits) in [
        (
            "containers add up",
            json!({"containers": [one("1"), one("2")]}),
            "3",
            "3",
        ),
        (
            "the largest init container counts",
            json!({"containers": [one("1")], "initContainers": [one("5"), one("4")]}),
            "5",
            "5",
        ),
        (
            "sidecars run beside all after them",
            json!({"containers": [one("1")], "initContainers": [one("6"), sidecar("2"), one("5")]}),
            "7",
            "7",
        ),
        (
            "overhead adds to both",
            json!({"containers": [one("1")], "overhead": {"cpu": "250m"}}),
            "1250m",
            "1250m",
        ),
        (
            "the pod's own amounts stand for the sum",
            json!({"containers": [one("1"), one("1")],
                "resources": {"requests": {"cpu": "3"}, "limits": {"cpu": "4"}}}),
            "3",
            "4",
        ),
    ] {
        let used = usage(of("pods"), &json!({"spec": spec}), NOW);
        let found = (
            used["requests.cpu"].to_string(),
            used["limits.cpu"].to_string(),
        );
        assert_eq!(found, (requests.to_owned(), limits.to_owned()), "{what}");
    }
}

#[test]
fn usage_of_pods_being_resized() {
    let wants = |cpu: &str| pod(json!({"cpu": cpu}), json!({}));
    for (what, cpu, status, expected) in [
        (
            "growth is charged at once",
            "4",
            json!({"allocatedResources": {"cpu": "2"}}),
            "4",
        ),
        (
            "shrinking counts when it is done",
            "1",
            json!({"allocatedResources": {"cpu": "2"}}),
            "2",
        ),
        (
            "what runs counts",
            "1",
            json!({"allocatedResources": {"cpu": "1"}, "resources": {"requests": {"cpu": "3"}}}),
            "3",
        ),
    ] {
        let mut pod = wants(cpu);
        pod["status"]["containerStatuses"] = json!([status]);
        pod["status"]["containerStatuses"][0]["name"] = "c".into();
        assert_eq!(
            usage(of("pods"), &pod, NOW)["requests.cpu"].to_string(),
            expected,
            "{what}"
        );
    }
    let mut impossible = wants("9");
    impossible["status"] = json!({
        "conditions": [{"type": "PodResizePending", "reason": "Infeasible"}],
        "containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "2"}}]});
    assert_eq!(
        usage(of("pods"), &impossible, NOW)["requests.cpu"].to_string(),
        "2"
    );
}

#[test]
fn usage_of_other_objects() {
    let ports = json!([{"port": 1}, {"port": 2, "nodePort": 30000}]);
    let service = |balancers: &str, node_ports: &str| {
        json!({"count/services": "1", "services": "1",
        "services.loadbalancers": balancers, "services.nodeports": node_ports})
    };
    let claim =
        json!({"storageClassName": "gold", "resources": {"requests": {"storage": "1500m"}}});
    for (plural, object, expected) in [
        (
            "services",
            json!({"spec": {"ports": ports}}),
            service("0", "0"),
        ),
        (
            "services",
            json!({"spec": {"type": "NodePort", "ports": ports}}),
            service("0", "2"),
        ),
        (
            "services",
            json!({"spec": {"type": "LoadBalancer", "ports": ports}}),
            service("1", "2"),
        ),
        (
            "services",
            json!({"spec": {"type": "LoadBalancer", "ports": ports, "allocateLoadBalancerNodePorts": false}}),
            service("1", "1"),
        ),
        (
            "persistentvolumeclaims",
            json!({"spec": {"resources": {"requests": {"storage": "1Gi"}}}}),
            json!({"count/persistentvolumeclaims": "1", "persistentvolumeclaims": "1",
                "requests.storage": "1Gi"}),
        ),
        (
            "persistentvolumeclaims",
            json!({"spec": claim}),
            json!({"count/persistentvolumeclaims": "1", "persistentvolumeclaims": "1",
                "requests.storage": "2", "gold.storageclass.storage.k8s.io/requests.storage": "2",
                "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1"}),
        ),
        (
            "persistentvolumeclaims",
            json!({"spec": {"resources": {"requests": {"storage": "1Gi"}}},
                "status": {"allocatedResources": {"storage": "2Gi"}}}),
            json!({"count/persistentvolumeclaims": "1", "persistentvolumeclaims": "1",
                "requests.storage": "2Gi"}),
        ),
        (
            "resourceclaims",
            json!({"spec": {"devices": {"requests": [
                {"exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2}},
                {"exactly": {"deviceClassName": "nic", "allocationMode": "All"}},
                {"firstAvailable": [
                    {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 3},
                    {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1}]}]}}}),
            json!({"count/resourceclaims.resource.k8s.io": "1",
                "gpu.deviceclass.resource.k8s.io/devices": "5",
                "nic.deviceclass.resource.k8s.io/devices": "32"}),
        ),
        (
            "secrets",
            json!({}),
            json!({"count/secrets": "1", "secrets": "1"}),
        ),
        (
            "configmaps",
            json!({}),
            json!({"count/configmaps": "1", "configmaps": "1"}),
        ),
        (
            "replicationcontrollers",
            json!({}),
            json!({"count/replicationcontrollers": "1", "replicationcontrollers": "1"}),
        ),
        (
            "resourcequotas",
            json!({}),
            json!({"count/resourcequotas": "1", "resourcequotas": "1"}),
        ),
        (
            "deployments",
            json!({}),
            json!({"count/deployments.apps": "1"}),
        ),
    ] {
        assert_eq!(
            printed(&usage(of(plural), &object, NOW)),
            expected,
            "{plural} {object}"
        );
    }
}
