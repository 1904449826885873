//! What a static pod must not name: it is there without the apiserver, which may never have heard of it.

use k8s_openapi::api::core::v1::{Container, PodSpec, Volume, VolumeProjection};

/// The first kind of objects that a pod refers to, in upstream's words; `None` if it needs none.
pub(super) fn api_reference(spec: &PodSpec) -> Option<&'static str> {
    let account = spec.service_account_name.as_deref();
    if account
        .or(spec.service_account.as_deref())
        .is_some_and(|name| !name.is_empty())
    {
        return Some("serviceaccounts");
    }
    let init = spec.init_containers.iter().flatten();
    let mut found = init
        .chain(&spec.containers)
        .filter_map(of_container)
        .collect::<Vec<_>>();
    if spec
        .image_pull_secrets
        .as_ref()
        .is_some_and(|all| !all.is_empty())
    {
        found.push("secrets");
    }
    for kind in ["secrets", "configmaps"] {
        if found.contains(&kind) {
            return Some(kind);
        }
    }
    if spec
        .resource_claims
        .as_ref()
        .is_some_and(|all| !all.is_empty())
    {
        return Some("resourceclaims");
    }
    spec.volumes.iter().flatten().find_map(of_volume)
}

fn of_container(container: &Container) -> Option<&'static str> {
    let variables = container.env.iter().flatten();
    let named = variables.filter_map(|variable| {
        let from = variable.value_from.as_ref()?;
        match (&from.secret_key_ref, &from.config_map_key_ref) {
            (Some(_), _) => Some("secrets"),
            (None, Some(_)) => Some("configmaps"),
            (None, None) => None,
        }
    });
    let whole = container.env_from.iter().flatten().filter_map(|from| {
        match (&from.secret_ref, &from.config_map_ref) {
            (Some(_), _) => Some("secrets"),
            (None, Some(_)) => Some("configmaps"),
            (None, None) => None,
        }
    });
    let all: Vec<_> = named.chain(whole).collect();
    let secrets = all.iter().find(|kind| **kind == "secrets");
    secrets.or(all.first()).copied()
}

fn of_volume(volume: &Volume) -> Option<&'static str> {
    let cases = [
        (
            volume.config_map.is_some(),
            "configmaps (via configmap volumes)",
        ),
        (volume.secret.is_some(), "secrets (via secret volumes)"),
        (volume.csi.is_some(), "csidrivers (via CSI volumes)"),
        (
            volume.glusterfs.is_some(),
            "endpoints (via glusterFS volumes)",
        ),
        (
            volume.persistent_volume_claim.is_some(),
            "persistentvolumeclaims",
        ),
        (
            volume.ephemeral.is_some(),
            "persistentvolumeclaims (via ephemeral volumes)",
        ),
        (
            volume.azure_file.is_some(),
            "secrets (via azureFile volumes)",
        ),
    ];
    let named = cases.into_iter().find(|(is_there, _)| *is_there);
    let projected = volume
        .projected
        .as_ref()
        .and_then(|all| all.sources.as_ref());
    named
        .map(|(_, what)| what)
        .or_else(|| projected.into_iter().flatten().find_map(of_projection))
}

fn of_projection(source: &VolumeProjection) -> Option<&'static str> {
    let cases = [
        (
            source.config_map.is_some(),
            "configmaps (via projected volumes)",
        ),
        (source.secret.is_some(), "secrets (via projected volumes)"),
        (
            source.service_account_token.is_some(),
            "serviceaccounts (via projected volumes)",
        ),
        (source.cluster_trust_bundle.is_some(), "clustertrustbundles"),
        (source.pod_certificate.is_some(), "podcertificates"),
    ];
    let named = cases.into_iter().find(|(is_there, _)| *is_there);
    named.map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_needs_the_apiserver_is_named() {
        let env = |from: Value| json!({"containers": [{"name": "a", "env": [{"name": "x", "valueFrom": from}]}]});
        let volume = |volume: Value| json!({"containers": [], "volumes": [volume]});
        let cases = [
            (json!({"containers": [{"name": "a"}]}), None),
            (
                json!({"containers": [], "serviceAccountName": "a"}),
                Some("serviceaccounts"),
            ),
            (env(json!({"secretKeyRef": {"key": "a"}})), Some("secrets")),
            (
                env(json!({"configMapKeyRef": {"key": "a"}})),
                Some("configmaps"),
            ),
            (
                env(json!({"fieldRef": {"fieldPath": "spec.nodeName"}})),
                None,
            ),
            (
                json!({"containers": [], "initContainers": [{"name": "a", "envFrom": [{"configMapRef": {}}, {"secretRef": {}}]}]}),
                Some("secrets"),
            ),
            (
                json!({"containers": [], "imagePullSecrets": [{"name": "a"}]}),
                Some("secrets"),
            ),
            (
                volume(json!({"name": "a", "secret": {}})),
                Some("secrets (via secret volumes)"),
            ),
            (
                volume(
                    json!({"name": "a", "projected": {"sources": [{"downwardAPI": {}}, {"serviceAccountToken": {"path": "a"}}]}}),
                ),
                Some("serviceaccounts (via projected volumes)"),
            ),
            (
                volume(json!({"name": "a", "hostPath": {"path": "/a"}})),
                None,
            ),
        ];
        for (spec, expected) in cases {
            let read: PodSpec = serde_json::from_value(spec.clone()).expect("a spec");
            assert_eq!(api_reference(&read), expected, "{spec}");
        }
    }
}
