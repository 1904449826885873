//! What upstream's installers create too: rights of what we run.

use anyhow::Result;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::system::NAMESPACE;
use crate::limits::TOKEN_LIFE;
use crate::pki::Token;

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

/// Those who show a token for nodes that join: the group has the name kubeadm gives it.
const JOINERS: &str = "system:bootstrappers:kubeadm:default-node-token";
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
