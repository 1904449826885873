//! What upstream's installers create too: rights of what we run.

use serde_json::{Value, json};

const API: &str = "rbac.authorization.k8s.io";

/// Roles and bindings, for hosts and without.
pub(super) fn rights() -> Vec<Value> {
    vec![
        json!({
            "apiVersion": format!("{API}/v1"), "kind": "ClusterRole",
            "metadata": {"name": "mainstay:network"},
            "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}],
        }),
        binding(
            "mainstay:network",
            "mainstay:network",
            ("Group", "mainstay:network"),
        ),
        // One program plays nodes under one name of its own.
        binding(
            "mainstay:fake-nodes",
            "system:node",
            ("User", "mainstay:fake-nodes"),
        ),
    ]
}

fn binding(name: &str, role: &str, (kind, subject): (&str, &str)) -> Value {
    json!({
        "apiVersion": format!("{API}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": API, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": API, "kind": kind, "name": subject}],
    })
}
