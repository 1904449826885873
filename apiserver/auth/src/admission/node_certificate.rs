//! Certificates that kubelets ask for on behalf of their pods.

use serde_json::Value;

use super::node::NodeRestriction;
use super::request::{Admission, Operation, Refusal, forbid, text};
use crate::node::is_mirror_pod;
use crate::text::quoted;

pub(super) fn check_certificate(
    plugin: &NodeRestriction<'_>,
    node: &str,
    admission: &Admission<'_>,
) -> Result<(), Refusal> {
    if admission.operation != Operation::Create {
        return forbid(format!(
            "unexpected operation {}",
            admission.operation.as_str()
        ));
    }
    if !admission.subresource.is_empty() {
        return forbid(format!("unexpected subresource {}", admission.subresource));
    }
    let spec = |key: &str| text(admission.object, &format!("/spec/{key}"));
    if spec("nodeName") != node {
        return forbid(format!(
            "PodCertificateRequest.Spec.NodeName={}, which is not the requesting node {}",
            quoted(spec("nodeName")),
            quoted(node)
        ));
    }
    let namespace = admission.namespace;
    let pod_path = quoted(&format!("{namespace}/{}", spec("podName")));
    let stored = find(plugin, "node", "nodes", "", node)?;
    if text(&stored, "/metadata/uid") != spec("nodeUID") {
        return retry(format!(
            "PodCertificateRequest for pod {pod_path} names node UID {}, inconsistent with the running node ({})",
            quoted(spec("nodeUID")),
            quoted(text(&stored, "/metadata/uid"))
        ));
    }
    let pod = find(plugin, "pod", "pods", namespace, spec("podName"))?;
    check_pod(node, &pod_path, &spec, &pod)?;
    let account = find(
        plugin,
        "service account",
        "serviceaccounts",
        namespace,
        spec("serviceAccountName"),
    )?;
    let (asked, own) = (spec("serviceAccountUID"), text(&account, "/metadata/uid"));
    if asked != own {
        return retry(format!(
            "PodCertificateRequest for pod {pod_path} names service account UID {}, which differs from the running service account ({})",
            quoted(asked),
            quoted(own)
        ));
    }
    Ok(())
}

fn check_pod<'a>(
    node: &str,
    pod_path: &str,
    spec: &dyn Fn(&str) -> &'a str,
    pod: &Value,
) -> Result<(), Refusal> {
    if text(pod, "/metadata/uid") != spec("podUID") {
        return retry(format!(
            "PodCertificateRequest for pod {pod_path} contains pod UID ({}) which differs from running pod {}",
            quoted(spec("podUID")),
            quoted(text(pod, "/metadata/uid"))
        ));
    }
    if text(pod, "/spec/nodeName") != node {
        return forbid(format!(
            "pod {pod_path} is not running on node {} named in the PodCertificateRequest",
            quoted(node)
        ));
    }
    if is_mirror_pod(pod) {
        return forbid(format!("pod {pod_path} is a mirror pod"));
    }
    let (asked, own) = (
        spec("serviceAccountName"),
        text(pod, "/spec/serviceAccountName"),
    );
    if asked != own {
        return forbid(format!(
            "PodCertificateRequest for pod {pod_path} contains serviceAccountName ({}) that differs from running pod ({})",
            quoted(asked),
            quoted(own)
        ));
    }
    Ok(())
}

fn retry<T>(text: String) -> Result<T, Refusal> {
    Err(Refusal::Retry(text))
}

/// An object that must be there, but that the caches may not show yet.
fn find(
    plugin: &NodeRestriction<'_>,
    word: &str,
    resource: &'static str,
    namespace: &str,
    name: &str,
) -> Result<Value, Refusal> {
    (plugin.lookup)(resource, namespace, name).ok_or_else(|| {
        let path = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        Refusal::Retry(format!(
            "while retrieving {word} {} named in the PodCertificateRequest: {resource} {} not found",
            quoted(&path),
            quoted(name)
        ))
    })
}
