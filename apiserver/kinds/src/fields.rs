//! Field selectors: the fields of a kind that lists and watches can be narrowed by.

use crate::kind::KindRef;
use crate::value::{at, flag, int, list, text};
use serde_json::Value;
use std::borrow::Cow;

const NAMESPACED: &[&str] = &["metadata.name", "metadata.namespace"];

/// The selectable fields of kinds that have more than their name and namespace.
static FIELDS: &[(&str, &str, &[&str])] = &[
    (
        "",
        "Pod",
        &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
            // The name of spec.nodeName before 1.0.
            "spec.host",
        ],
    ),
    ("", "Node", &["metadata.name", "spec.unschedulable"]),
    ("", "Namespace", &["metadata.name", "status.phase"]),
    (
        "",
        "Secret",
        &["metadata.name", "metadata.namespace", "type"],
    ),
    (
        "",
        "Service",
        &[
            "metadata.name",
            "metadata.namespace",
            "spec.clusterIP",
            "spec.type",
        ],
    ),
    (
        "",
        "ReplicationController",
        &["metadata.name", "metadata.namespace", "status.replicas"],
    ),
    (
        "",
        "Event",
        &[
            "metadata.name",
            "metadata.namespace",
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    ),
    (
        "events.k8s.io",
        "Event",
        &[
            "metadata.name",
            "metadata.namespace",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
    ),
    (
        "apps",
        "ReplicaSet",
        &["metadata.name", "metadata.namespace", "status.replicas"],
    ),
    (
        "batch",
        "Job",
        &["metadata.name", "metadata.namespace", "status.successful"],
    ),
    (
        "certificates.k8s.io",
        "CertificateSigningRequest",
        &["metadata.name", "spec.signerName"],
    ),
    (
        "certificates.k8s.io",
        "ClusterTrustBundle",
        &["metadata.name", "spec.signerName"],
    ),
    (
        "certificates.k8s.io",
        "PodCertificateRequest",
        &[
            "metadata.name",
            "metadata.namespace",
            "spec.signerName",
            "spec.podName",
            "spec.nodeName",
        ],
    ),
    (
        "resource.k8s.io",
        "ResourceSlice",
        &["metadata.name", "spec.nodeName", "spec.driver"],
    ),
];

/// The fields a selector on this kind may name; for cluster-scoped kinds `metadata.namespace` is
/// always "". A selector that names another field is a bad request: `field label not supported`.
#[must_use]
pub fn selectable_fields<'a>(kind: impl Into<KindRef<'a>>) -> &'static [&'static str] {
    let kind = kind.into();
    let row = FIELDS
        .iter()
        .find(|(group, name, _)| *group == kind.group && *name == kind.kind);
    row.map_or(NAMESPACED, |(_, _, fields)| fields)
}

/// The paths that the value of a selectable field is made of, for readers that read nothing else of an object.
#[must_use]
pub fn field_sources(field: &'static str) -> Vec<&'static str> {
    match field {
        "spec.host" => vec!["spec.nodeName"],
        "status.podIP" | "status.podIPs" => vec!["status.podIPs.ip"],
        "status.successful" => vec!["status.succeeded"],
        "source" => vec!["source.component", "reportingComponent"],
        own => vec![own],
    }
}

/// The value of a selectable field; "" where the object does not have it. `None` for fields that
/// cannot be selected by.
#[must_use]
pub fn field_value<'v, 'a>(
    kind: impl Into<KindRef<'a>>,
    object: &'v Value,
    field: &str,
) -> Option<Cow<'v, str>> {
    let kind = kind.into();
    if !selectable_fields(kind).contains(&field) {
        return None;
    }
    let first_of = |places: [&str; 2]| {
        places
            .map(|place| text(object, place))
            .into_iter()
            .find(|found| !found.is_empty())
            .unwrap_or("")
    };
    Some(match (kind.kind, field) {
        ("Pod", "spec.host") => text(object, "spec.nodeName").into(),
        ("Pod", "status.podIP" | "status.podIPs") => list(object, "status.podIPs")
            .first()
            .map_or("", |first| text(first, "ip"))
            .into(),
        ("Pod", "spec.hostNetwork") | ("Node", "spec.unschedulable") => {
            flag(object, field).to_string().into()
        }
        ("Job", "status.successful") => int(object, "status.succeeded").to_string().into(),
        ("ReplicaSet" | "ReplicationController", "status.replicas") => {
            int(object, field).to_string().into()
        }
        ("Event", "source") => first_of(["source.component", "reportingComponent"]).into(),
        _ => match at(object, field) {
            Some(Value::String(text)) => text.as_str().into(),
            Some(other) => other.to_string().into(),
            None => "".into(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_machinery::decode::Outline;
    use serde_json::json;

    #[test]
    fn values_of_fields() {
        let object = json!({
            "metadata": {"name": "a", "namespace": "b"},
            "spec": {"nodeName": "n", "unschedulable": true},
            "status": {"podIPs": [{"ip": "10.0.0.1"}], "succeeded": 3},
            "reportingComponent": "kubelet",
        });
        for (group, kind, field, value) in [
            ("", "ConfigMap", "metadata.name", Some("a")),
            ("", "ConfigMap", "data", None),
            ("", "Pod", "spec.nodeName", Some("n")),
            ("", "Pod", "spec.host", Some("n")),
            ("", "Pod", "spec.hostNetwork", Some("false")),
            ("", "Pod", "status.podIP", Some("10.0.0.1")),
            ("", "Pod", "status.nominatedNodeName", Some("")),
            ("", "Node", "spec.unschedulable", Some("true")),
            ("batch", "Job", "status.successful", Some("3")),
            ("apps", "ReplicaSet", "status.replicas", Some("0")),
            ("", "Event", "source", Some("kubelet")),
            ("apps", "Deployment", "status.replicas", None),
        ] {
            let kind_ref = KindRef::new(group, "v1", kind);
            let found = field_value(kind_ref, &object, field);
            // A reader that knows the sources sees the same.
            let sources = Outline::new(field_sources(field));
            let read = sources.read(object.to_string().as_bytes()).unwrap();
            assert_eq!(found, field_value(kind_ref, &read, field), "{kind} {field}");
            assert_eq!(found.as_deref(), value, "{kind} {field}");
        }
    }
}
