//! What runs as pods for the cluster itself.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::limits::DNS_SERVICE;
use crate::stock::DNS;

pub(crate) const NAMESPACE: &str = "kube-system";
pub(super) const DEPLOYMENT: &str = "dns";
/// By which everybody finds it, whatever it is made of.
const LABELS: [(&str, &str); 1] = [("k8s-app", "kube-dns")];

/// DNS: its rights, two replicas on different nodes, and the service at the address that kubelets tell pods.
pub(super) fn dns(cluster: &Cluster) -> Vec<Value> {
    let labels: Value = LABELS.into_iter().collect();
    let (api, name) = ("rbac.authorization.k8s.io", "mainstay:dns");
    let watched = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch", "get"]});
    let probe = |path: &str, port: u16, seconds: u32| json!({"httpGet": {"path": path, "port": port}, "periodSeconds": seconds});
    let container = json!({
        "name": "dns", "image": DNS, "imagePullPolicy": "IfNotPresent",
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9153, "protocol": "TCP"},
        ],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "livenessProbe": probe("/health", 8080, 10),
        // Often: everybody waits for the first answer.
        "readinessProbe": probe("/ready", 8181, 2),
    });
    let apart = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {
            "labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname",
        },
    }]}});
    vec![
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "dns", "namespace": NAMESPACE},
        }),
        json!({
            "apiVersion": format!("{api}/v1"), "kind": "ClusterRole", "metadata": {"name": name},
            "rules": [
                watched("", &["endpoints", "services", "pods", "namespaces", "nodes"]),
                watched("discovery.k8s.io", &["endpointslices"]),
            ],
        }),
        json!({
            "apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "dns", "namespace": NAMESPACE}],
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "kube-dns", "namespace": NAMESPACE,
                "labels": {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true",
                    "kubernetes.io/name": "DNS"},
            },
            "spec": {
                "clusterIP": cluster.service(DNS_SERVICE).to_string(), "selector": labels,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                    {"name": "metrics", "port": 9153, "protocol": "TCP"},
                ],
            },
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": DEPLOYMENT, "namespace": NAMESPACE, "labels": labels},
            "spec": {
                "replicas": 2, "selector": {"matchLabels": labels},
                "strategy": {"rollingUpdate": {"maxUnavailable": 1}},
                "template": {"metadata": {"labels": labels}, "spec": {
                    "serviceAccountName": "dns", "priorityClassName": "system-cluster-critical",
                    // Its own questions go where the node's go.
                    "dnsPolicy": "Default", "affinity": apart, "containers": [container],
                    "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
                }},
            },
        }),
    ]
}
