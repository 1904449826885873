//! The objects that a pod's spec refers to.

use serde_json::Value;

use super::graph::ObjectKind;

/// Volume sources that hold a secret's name, and where.
const SECRET_VOLUMES: [(&str, &str); 10] = [
    ("azureFile", "/secretName"),
    ("cephfs", "/secretRef/name"),
    ("cinder", "/secretRef/name"),
    ("flexVolume", "/secretRef/name"),
    ("rbd", "/secretRef/name"),
    ("secret", "/secretName"),
    ("scaleIO", "/secretRef/name"),
    ("iscsi", "/secretRef/name"),
    ("storageos", "/secretRef/name"),
    ("csi", "/nodePublishSecretRef/name"),
];

/// All that the graph looks at in a pod, as paths: who feeds it need read nothing else.
pub const POD_PARTS: &[&str] = &[
    "metadata.annotations",
    "metadata.name",
    "metadata.namespace",
    "spec.containers.env.valueFrom",
    "spec.containers.envFrom",
    "spec.ephemeralContainers.env.valueFrom",
    "spec.ephemeralContainers.envFrom",
    "spec.imagePullSecrets",
    "spec.initContainers.env.valueFrom",
    "spec.initContainers.envFrom",
    "spec.nodeName",
    "spec.resourceClaims",
    "spec.serviceAccountName",
    "spec.volumes",
    "status.extendedResourceClaimStatus",
    "status.resourceClaimStatuses",
];

const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

pub(crate) fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn name_at(value: &Value, pointer: &str) -> Option<String> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// True if the pod only mirrors one that a kubelet runs from a file.
pub(crate) fn is_mirror_pod(pod: &Value) -> bool {
    pod.pointer("/metadata/annotations")
        .is_some_and(|all| all.get(MIRROR_ANNOTATION).is_some())
}

/// Every container of a pod spec: init, plain and ephemeral.
pub(crate) fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|key| list(spec, key))
}

fn secrets_and_config_maps(spec: &Value) -> Vec<(ObjectKind, String)> {
    let mut out = Vec::new();
    let mut add = |kind, name: Option<String>| out.extend(name.map(|name| (kind, name)));
    for reference in list(spec, "imagePullSecrets") {
        add(ObjectKind::Secret, name_at(reference, "/name"));
    }
    for container in containers(spec) {
        for source in list(container, "envFrom") {
            add(ObjectKind::Secret, name_at(source, "/secretRef/name"));
            add(ObjectKind::ConfigMap, name_at(source, "/configMapRef/name"));
        }
        for variable in list(container, "env") {
            add(
                ObjectKind::Secret,
                name_at(variable, "/valueFrom/secretKeyRef/name"),
            );
            add(
                ObjectKind::ConfigMap,
                name_at(variable, "/valueFrom/configMapKeyRef/name"),
            );
        }
    }
    for volume in list(spec, "volumes") {
        for (source, pointer) in SECRET_VOLUMES {
            add(
                ObjectKind::Secret,
                volume
                    .get(source)
                    .and_then(|source| name_at(source, pointer)),
            );
        }
        add(ObjectKind::ConfigMap, name_at(volume, "/configMap/name"));
        for source in volume
            .get("projected")
            .into_iter()
            .flat_map(|projected| list(projected, "sources"))
        {
            add(ObjectKind::Secret, name_at(source, "/secret/name"));
            add(ObjectKind::ConfigMap, name_at(source, "/configMap/name"));
        }
    }
    out
}

/// Everything in the pod's namespace that its kubelet must read: kind and name. Nothing for a mirror pod, which
/// a node makes itself and so must not win it anything.
pub fn pod_references(pod: &Value) -> Vec<(ObjectKind, String)> {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    if is_mirror_pod(pod) {
        return Vec::new();
    }
    let mut out = secrets_and_config_maps(spec);
    let account = name_at(spec, "/serviceAccountName");
    out.extend(account.map(|name| (ObjectKind::ServiceAccount, name)));
    let pod_name = name_at(pod, "/metadata/name").unwrap_or_default();
    for volume in list(spec, "volumes") {
        let claim = match (volume.get("persistentVolumeClaim"), volume.get("ephemeral")) {
            (Some(claim), _) if !claim.is_null() => name_at(claim, "/claimName"),
            (_, Some(ephemeral)) if !ephemeral.is_null() => {
                name_at(volume, "/name").map(|volume| format!("{pod_name}-{volume}"))
            }
            _ => None,
        };
        out.extend(claim.map(|name| (ObjectKind::PersistentVolumeClaim, name)));
    }
    out.extend(resource_claims(pod, spec).map(|name| (ObjectKind::ResourceClaim, name)));
    out.sort_unstable();
    out.dedup();
    out
}

/// Resource claims named in the spec, made from a template (then the status names them), or made for extended
/// resources.
fn resource_claims<'v>(pod: &'v Value, spec: &'v Value) -> impl Iterator<Item = String> + 'v {
    let empty = &Value::Null;
    let status = pod.get("status").unwrap_or(empty);
    let named = list(spec, "resourceClaims").filter_map(move |claim| {
        name_at(claim, "/resourceClaimName").or_else(|| {
            let made = list(status, "resourceClaimStatuses")
                .find(|made| made.get("name") == claim.get("name"))?;
            name_at(made, "/resourceClaimName")
        })
    });
    named.chain(name_at(
        status,
        "/extendedResourceClaimStatus/resourceClaimName",
    ))
}

/// Volume sources that need nothing from the API.
const PLAIN_VOLUMES: [&str; 22] = [
    "awsElasticBlockStore",
    "azureDisk",
    "cephfs",
    "cinder",
    "downwardAPI",
    "emptyDir",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "hostPath",
    "image",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

/// Volume sources that need the API, and how the refusal names what they need.
const REFERRING_VOLUMES: [(&str, &str); 7] = [
    ("configMap", "configmaps (via configmap volumes)"),
    ("secret", "secrets (via secret volumes)"),
    ("csi", "csidrivers (via CSI volumes)"),
    ("glusterfs", "endpoints (via glusterFS volumes)"),
    ("persistentVolumeClaim", "persistentvolumeclaims"),
    (
        "ephemeral",
        "persistentvolumeclaims (via ephemeral volumes)",
    ),
    ("azureFile", "secrets (via azureFile volumes)"),
];

const REFERRING_PROJECTIONS: [(&str, &str); 5] = [
    ("configMap", "configmaps (via projected volumes)"),
    ("secret", "secrets (via projected volumes)"),
    (
        "serviceAccountToken",
        "serviceaccounts (via projected volumes)",
    ),
    ("clusterTrustBundle", "clustertrustbundles"),
    ("podCertificate", "podcertificates"),
];

/// What a pod refers to that lives in the API, if anything; a mirror pod must not.
///
/// # Errors
/// If a volume is of a kind that is not known.
pub fn has_api_reference(pod: &Value) -> Result<Option<&'static str>, String> {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    if name_at(spec, "/serviceAccountName").is_some() {
        return Ok(Some("serviceaccounts"));
    }
    let references = secrets_and_config_maps(spec);
    for (kind, word) in [
        (ObjectKind::Secret, "secrets"),
        (ObjectKind::ConfigMap, "configmaps"),
    ] {
        if references.iter().any(|(own, _)| *own == kind) {
            return Ok(Some(word));
        }
    }
    if list(spec, "resourceClaims").next().is_some() {
        return Ok(Some("resourceclaims"));
    }
    for volume in list(spec, "volumes") {
        if let Some(found) = volume_reference(volume)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn volume_reference(volume: &Value) -> Result<Option<&'static str>, String> {
    let has = |value: &Value, key: &str| value.get(key).is_some_and(|source| !source.is_null());
    let name = || crate::text::quoted(&name_at(volume, "/name").unwrap_or_default());
    if PLAIN_VOLUMES.iter().any(|source| has(volume, source)) {
        return Ok(None);
    }
    if let Some((_, text)) = REFERRING_VOLUMES
        .iter()
        .find(|(source, _)| has(volume, source))
    {
        return Ok(Some(text));
    }
    let Some(projected) = volume
        .get("projected")
        .filter(|projected| !projected.is_null())
    else {
        return Err(format!("unknown volume type for volume  {}", name()));
    };
    for source in list(projected, "sources") {
        if let Some((_, text)) = REFERRING_PROJECTIONS
            .iter()
            .find(|(kind, _)| has(source, kind))
        {
            return Ok(Some(text));
        }
        if !has(source, "downwardAPI") {
            return Err(format!("unknown source for projected volume {}", name()));
        }
    }
    Ok(None)
}
