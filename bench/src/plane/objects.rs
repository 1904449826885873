//! What is created.

use serde_json::{Value, json};

/// Namespace of everything.
pub(crate) const NAMESPACE: &str = "bench-0";
/// Name of the deployment whose pods are replaced.
pub(crate) const DEPLOYMENT: &str = "replaced";

/// The nodes are to leave a pod as it is: it was bound, and that is all.
const NEVER_STARTS: (&str, &str) = ("fake.mainstay.io/start-after", "never");

/// A small pod without a node. `at_ns` is the time of the request, which the watch finds again.
pub(crate) fn waiting_pod(name: &str, at_ns: u64) -> Vec<u8> {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": { "app": "waiting" },
            "annotations": { "at": format!("{at_ns:020}") },
        },
        "spec": spec(),
    });
    pod["metadata"]["annotations"][NEVER_STARTS.0] = NEVER_STARTS.1.into();
    encode(&pod)
}

/// A deployment of so many pods.
pub(crate) fn deployment(replicas: u64) -> Vec<u8> {
    encode(&json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": DEPLOYMENT, "namespace": NAMESPACE },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": DEPLOYMENT } },
            "template": {
                "metadata": { "labels": { "app": DEPLOYMENT } },
                "spec": spec(),
            },
        },
    }))
}

/// So little that nodes are full by their number of pods, not by this.
fn spec() -> Value {
    json!({
        "containers": [{
            "name": "server",
            "image": "registry.example.com/shop/server:1.24.3",
            "imagePullPolicy": "IfNotPresent",
            "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
        }],
        "terminationGracePeriodSeconds": 0,
    })
}

fn encode(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a value of JSON has only text keys")
}
