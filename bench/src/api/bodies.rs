//! The objects of the load: pods as a deployment makes them, about 2 KB of JSON.

use serde_json::{Value, json};

/// The one namespace of all pods of a row; its name is that of the row.
pub(crate) const NAMESPACES: usize = 10;
/// Pods of one label value.
pub(crate) const PODS_PER_APP: usize = 100;

/// Where pod `n` is.
pub(crate) fn namespace(n: u64) -> String {
    format!("bench-{}", n as usize % NAMESPACES)
}

/// The name of pod `n` of a series.
pub(crate) fn name(series: &str, n: u64) -> String {
    format!("{series}-7d4b9c6f58-{n:07}")
}

/// The node of pod `n` among `nodes`.
pub(crate) fn node(n: u64, nodes: u64) -> String {
    format!("node-{}", n % nodes.max(1))
}

/// A pod as a client sends it, in canonical member order.
pub(crate) fn pod(series: &str, n: u64, nodes: u64) -> Vec<u8> {
    let app = format!("app-{}", n as usize / PODS_PER_APP);
    let resources = json!({
        "limits": { "cpu": "500m", "memory": "256Mi" },
        "requests": { "cpu": "100m", "memory": "128Mi" },
    });
    let probe = |path: &str| {
        json!({
            "httpGet": { "path": path, "port": 8080, "scheme": "HTTP" },
            "initialDelaySeconds": 5, "periodSeconds": 10, "timeoutSeconds": 1,
            "successThreshold": 1, "failureThreshold": 3,
        })
    };
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name(series, n),
            "namespace": namespace(n),
            "labels": { "app": app, "pod-template-hash": "7d4b9c6f58", "tier": "backend" },
            "annotations": { "at": "00000000000000000000", "prometheus.io/scrape": "true" },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-7d4b9c6f58"),
                "uid": "0f3a9c52-8f0e-4c0b-9a55-5f8d0c6e2b11", "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "nodeName": node(n, nodes),
            "containers": [{
                "name": "server",
                "image": "registry.example.com/shop/server:1.24.3",
                "imagePullPolicy": "IfNotPresent",
                "ports": [{ "name": "http", "containerPort": 8080, "protocol": "TCP" }],
                "env": [
                    { "name": "LOG_LEVEL", "value": "info" },
                    { "name": "POD_NAME",
                      "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.name" } } },
                ],
                "resources": resources,
                "livenessProbe": probe("/healthz"),
                "readinessProbe": probe("/ready"),
                "volumeMounts": [{ "name": "config", "mountPath": "/etc/server", "readOnly": true }],
            }],
            "volumes": [{ "name": "config", "configMap": { "name": "server-config", "defaultMode": 420 } }],
            "tolerations": [
                { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                  "tolerationSeconds": 300 },
                { "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
                  "tolerationSeconds": 300 },
            ],
        },
    });
    encode(&pod)
}

/// The status a node agent reports, for the pod at a revision. It differs with `round`.
pub(crate) fn status(series: &str, n: u64, revision: &str, round: u64) -> Vec<u8> {
    let address = format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255);
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z",
        })
    };
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name(series, n), "namespace": namespace(n), "resourceVersion": revision,
        },
        "status": {
            "phase": "Running",
            "hostIP": "192.168.1.7",
            "hostIPs": [{ "ip": "192.168.1.7" }],
            "podIP": address,
            "podIPs": [{ "ip": address }],
            "startTime": "2026-01-02T03:04:05Z",
            "qosClass": "Burstable",
            "conditions": [condition("Initialized"), condition("Ready"), condition("PodScheduled")],
            "containerStatuses": [{
                "name": "server", "ready": true, "started": true, "restartCount": round,
                "image": "registry.example.com/shop/server:1.24.3",
                "imageID": "sha256:4c1e997385b8fb4ad4d1d3c7e5af7ff3f882e94d07cf5b78de9e889bc60830e6",
                "containerID": "containerd://52c2d19df2d28fbb4bfcd4f4b8e2e5b0e6a1d4cf8fca2ad1d6cb3a6f0d9f5e77",
                "state": { "running": { "startedAt": "2026-01-02T03:04:05Z" } },
                "lastState": {},
            }],
        },
    });
    encode(&pod)
}

/// A merge patch that sets the time of a write, as text of 20 digits.
pub(crate) fn stamp(at_ns: u64) -> Vec<u8> {
    format!("{{\"metadata\":{{\"annotations\":{{\"at\":\"{at_ns:020}\"}}}}}}").into_bytes()
}

/// A namespace, and what a pod in it needs.
pub(crate) fn prerequisites(namespace: &str) -> [(String, Vec<u8>); 2] {
    let space = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace },
    });
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" },
    });
    [
        ("/api/v1/namespaces".to_owned(), encode(&space)),
        (
            format!("/api/v1/namespaces/{namespace}/serviceaccounts"),
            encode(&account),
        ),
    ]
}

fn encode(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a value of JSON has only text keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_a_usual_size() {
        let size = pod("web", 12_345, 1000).len();
        assert!((1600..2400).contains(&size), "{size}");
    }

    #[test]
    fn a_stamp_is_a_patch() {
        let patch: Value = serde_json::from_slice(&stamp(17)).unwrap();
        assert_eq!(
            patch["metadata"]["annotations"]["at"],
            "00000000000000000017"
        );
    }
}
