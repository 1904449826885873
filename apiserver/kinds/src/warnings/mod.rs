//! Warnings on writes: what is accepted, but deprecated or not what was meant. Texts are upstream's.

mod others;
mod pods;
#[cfg(test)]
mod tests;
mod tls;

use crate::kind::KindRef;
use mainstay_machinery::field::Path;
use serde_json::Value;

/// Warnings about an object being created, or updated from `old`. Both are defaulted.
#[must_use]
pub fn warnings<'a>(
    kind: impl Into<KindRef<'a>>,
    object: &Value,
    old: Option<&Value>,
) -> Vec<String> {
    let kind = kind.into();
    let mut found = Vec::new();
    // Templates are looked at only when they may have changed.
    let changed = old.is_none_or(|old| old.get("spec") != object.get("spec"));
    match (kind.group, kind.kind) {
        // People rarely update pods, and kubelets often.
        ("", "Pod") if old.is_none() => {
            others::pod_name(object, &mut found);
            pods::of_pod(object, &mut found);
        }
        ("", "PodTemplate") => pods::of_template(object, &Path::new("template"), &mut found),
        ("", "ReplicationController")
        | ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch", "Job")
            if changed =>
        {
            others::workload_name(object, kind.kind, old, &mut found);
            template(object, "spec.template", &mut found);
        }
        ("batch", "CronJob") if changed => {
            others::workload_name(object, kind.kind, old, &mut found);
            if old.is_some() {
                others::cron_job(object, &mut found);
            }
            template(object, "spec.jobTemplate.spec.template", &mut found);
        }
        ("", "Secret") if crate::value::text(object, "type") == "kubernetes.io/tls" => {
            tls::pair(object, &mut found);
        }
        ("", "Service") => others::service(object, &mut found),
        ("", "PersistentVolume") => others::volume(object, &mut found),
        ("", "PersistentVolumeClaim") => others::claim(object, &mut found),
        ("", "Node") => others::node(object, &mut found),
        ("networking.k8s.io", "Ingress") if old.is_none() => others::ingress(object, &mut found),
        ("node.k8s.io", "RuntimeClass") => others::runtime_class(object, &mut found),
        ("storage.k8s.io", "CSIDriver") => others::driver(object, &mut found),
        ("storage.k8s.io", "StorageClass") => others::storage_class(object, &mut found),
        ("discovery.k8s.io", "EndpointSlice") if old.is_none() => {
            others::endpoint_slice(object, &mut found);
        }
        _ => {}
    }
    found
}

/// The warning every request to a deprecated kind gets, reads included.
#[must_use]
pub fn deprecation<'a>(kind: impl Into<KindRef<'a>>) -> Option<&'static str> {
    let kind = kind.into();
    match (kind.group, kind.kind) {
        ("", "Endpoints") => {
            Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
        }
        ("", "ComponentStatus") => Some("v1 ComponentStatus is deprecated in v1.19+"),
        _ => None,
    }
}

/// Labels of nodes whose names have changed.
static NODE_LABELS: &[(&str, &str)] = &[
    (
        "beta.kubernetes.io/arch",
        r#"deprecated since v1.14; use "kubernetes.io/arch" instead"#,
    ),
    (
        "beta.kubernetes.io/os",
        r#"deprecated since v1.14; use "kubernetes.io/os" instead"#,
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        r#"deprecated since v1.17; use "topology.kubernetes.io/region" instead"#,
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        r#"deprecated since v1.17; use "topology.kubernetes.io/zone" instead"#,
    ),
    (
        "beta.kubernetes.io/instance-type",
        r#"deprecated since v1.17; use "node.kubernetes.io/instance-type" instead"#,
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    (
        "node-role.kubernetes.io/master",
        r#"use "node-role.kubernetes.io/control-plane" instead"#,
    ),
];

/// What to say of a node label, if it is deprecated.
fn label_message(key: &str) -> Option<&'static str> {
    NODE_LABELS
        .iter()
        .find(|(label, _)| *label == key)
        .map(|(_, message)| *message)
}

fn template(object: &Value, place: &'static str, found: &mut Vec<String>) {
    if let Some(template) = crate::value::at(object, place) {
        pods::of_template(template, &Path::new(place), found);
    }
}
