//! What runs this server in a cluster.

use serde_json::{Value, json};

/// The label by which others find the pods of a cluster's DNS.
const LABEL: &str = "k8s-app";
const LABELLED: &str = "kube-dns";
const NAME: &str = "coredns";
const NAMESPACE: &str = "kube-system";

/// Objects that run this server as two pods of `image` behind the service `kube-dns`, in the order in which they are
/// to be created. `cluster_ip` is the address that kubelets tell their pods (upstream's is the tenth of the range of
/// services); `domain` is the cluster's. Names and labels are those by which tools know a cluster's DNS.
///
/// The program must be the image's entry point.
#[must_use]
pub fn manifests(image: &str, cluster_ip: &str, domain: &str) -> Vec<Value> {
    let mut all = rights();
    all.push(service(cluster_ip));
    all.push(deployment(image, domain));
    all.push(budget());
    all
}

fn rights() -> Vec<Value> {
    let role = "system:coredns";
    let meta = |name: &str| json!({"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}});
    vec![
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": meta(role),
            "rules": [
                {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"]},
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["list", "watch"],
                },
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": meta(role),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        }),
    ]
}

fn service(cluster_ip: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": NAMESPACE,
            "annotations": {"prometheus.io/port": "9153", "prometheus.io/scrape": "true"},
            "labels": {
                LABEL: LABELLED,
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "selector": {LABEL: LABELLED},
            "clusterIP": cluster_ip,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
                {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153},
            ],
        },
    })
}

fn deployment(image: &str, domain: &str) -> Value {
    let labels = json!({LABEL: LABELLED});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {LABEL: LABELLED, "kubernetes.io/name": "CoreDNS"},
        },
        "spec": {
            "replicas": 2,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "priorityClassName": "system-cluster-critical",
                    "serviceAccountName": NAME,
                    "tolerations": [
                        {"key": "CriticalAddonsOnly", "operator": "Exists"},
                        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
                    ],
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "affinity": apart(),
                    // Other servers are those of the node: the cluster's own would be this one.
                    "dnsPolicy": "Default",
                    "containers": [container(image, domain)],
                },
            },
        },
    })
}

/// Not two of them on one node, if there are others.
fn apart() -> Value {
    let selector =
        json!({"matchExpressions": [{"key": LABEL, "operator": "In", "values": [LABELLED]}]});
    json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"},
    }]}})
}

fn container(image: &str, domain: &str) -> Value {
    let probe = |path: &str, port: u16| json!({"path": path, "port": port, "scheme": "HTTP"});
    json!({
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [format!("--domain={domain}")],
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "ports": [
            {"containerPort": 53, "name": "dns", "protocol": "UDP"},
            {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
            {"containerPort": 9153, "name": "metrics", "protocol": "TCP"},
        ],
        "livenessProbe": {
            "httpGet": probe("/health", 8080),
            "initialDelaySeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 5,
        },
        "readinessProbe": {"httpGet": probe("/ready", 8181), "periodSeconds": 2, "timeoutSeconds": 2},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
    })
}

fn budget() -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {LABEL: LABELLED}},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {LABEL: LABELLED}}},
    })
}
