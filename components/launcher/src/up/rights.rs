//! What upstream's installers create too: rights of what we run.

use anyhow::Result;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::system::NAMESPACE;
use crate::cluster::Cluster;
use crate::files;
use crate::join::{INFO, LAYOUT, Layout, PUBLIC};
use crate::limits::TOKEN_LIFE;
use crate::pki::{Token, public_kubeconfig};

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
        // Nodes ask for their first certificate with a token, and for the next ones with that.
        binding(
            "kubeadm:kubelet-bootstrap",
            "system:node-bootstrapper",
            JOINING,
        ),
        binding(
            "kubeadm:node-autoapprove-bootstrap",
            &approved("nodeclient"),
            JOINING,
        ),
        binding(
            "kubeadm:node-autoapprove-certificate-rotation",
            &approved("selfnodeclient"),
            ("Group", "system:nodes"),
        ),
    ]
}

/// What other machines need in order to join: where the cluster is, for everybody; how it is laid out, for who has a
/// token; and what their nodes may see.
pub(super) fn joining() -> Vec<Value> {
    vec![
        reader(PUBLIC, "kubeadm:bootstrap-signer-clusterinfo", INFO),
        reading(
            PUBLIC,
            "kubeadm:bootstrap-signer-clusterinfo",
            ("User", "system:anonymous"),
        ),
        reader(NAMESPACE, "mainstay:layout", LAYOUT),
        reading(NAMESPACE, "mainstay:layout", JOINING),
        json!({
            "apiVersion": format!("{API}/v1"), "kind": "ClusterRole",
            "metadata": {"name": "kubeadm:get-nodes"},
            "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}],
        }),
        binding("kubeadm:get-nodes", "kubeadm:get-nodes", JOINING),
        // Their network and proxy have the node's certificate: nobody there can sign others.
        binding("mainstay:node-network", "mainstay:network", NODES),
        binding("mainstay:node-proxier", "system:node-proxier", NODES),
    ]
}

/// What is told to other machines.
pub(super) fn told(cluster: &Cluster) -> Result<Vec<Value>> {
    let Some(entrance) = cluster.entrance() else {
        return Ok(Vec::new());
    };
    let ca = files::read(&cluster.folders().pki().join("ca.crt"))?;
    let info = public_kubeconfig(&format!("https://{entrance}"), &ca);
    Ok(vec![
        map(PUBLIC, INFO, json!({"kubeconfig": info})),
        map(
            NAMESPACE,
            LAYOUT,
            serde_json::to_value(Layout::of(cluster))?,
        ),
    ])
}

fn map(namespace: &str, name: &str, data: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace}, "data": data,
    })
}

fn reader(namespace: &str, name: &str, map: &str) -> Value {
    json!({
        "apiVersion": format!("{API}/v1"), "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [map], "verbs": ["get"]}],
    })
}

fn reading(namespace: &str, name: &str, (kind, subject): (&str, &str)) -> Value {
    json!({
        "apiVersion": format!("{API}/v1"), "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": API, "kind": "Role", "name": name},
        "subjects": [{"apiGroup": API, "kind": kind, "name": subject}],
    })
}

const NODES: (&str, &str) = ("Group", "system:nodes");

/// Those who show a token for nodes that join: the group has the name kubeadm gives it.
pub(crate) const JOINERS: &str = "system:bootstrappers:kubeadm:default-node-token";
const JOINING: (&str, &str) = ("Group", JOINERS);

/// The role of those whose requests of a kind are approved by themselves.
fn approved(kind: &str) -> String {
    format!("system:certificates.k8s.io:certificatesigningrequests:{kind}")
}

/// A token as the API keeps it, good from `now` on for [`TOKEN_LIFE`].
pub(super) fn token(token: &Token, now: OffsetDateTime) -> Result<Value> {
    // Without fractions of seconds, as everybody writes it.
    let ends = (now + TOKEN_LIFE).replace_nanosecond(0)?.format(&Rfc3339)?;
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": format!("bootstrap-token-{}", token.id), "namespace": NAMESPACE},
        "stringData": {
            "token-id": token.id, "token-secret": token.secret, "expiration": ends,
            "usage-bootstrap-authentication": "true", "auth-extra-groups": JOINERS,
            "description": "with which workers ask for their first certificate",
        },
    }))
}

fn binding(name: &str, role: &str, (kind, subject): (&str, &str)) -> Value {
    json!({
        "apiVersion": format!("{API}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": API, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": API, "kind": kind, "name": subject}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let subnet = "10.240.0.0/24".parse().expect("a net");
        let cluster = crate::cluster::Cluster::new(folder.path(), subnet, 6_443, Vec::new());
        crate::pki::ensure(&cluster).expect("made");
        let made = Token::of(&cluster).expect("read");
        let secret = token(&made, OffsetDateTime::UNIX_EPOCH).expect("a secret");
        assert_eq!(secret["stringData"]["expiration"], "1970-01-02T00:00:00Z");
        assert_eq!(secret["stringData"]["token-secret"], made.secret.as_str());
    }
}
