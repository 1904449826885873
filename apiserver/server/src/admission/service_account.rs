//! ServiceAccount: every pod runs as one, with a token it can use.

use mainstay_machinery::meta;
use mainstay_machinery::status::{GroupResource, StatusError};
use rand::Rng as _;
use serde_json::{Value, json};

use super::{Attempt, Lookup};

/// Where containers find the token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Life of the token; the kubelet renews it well before. Upstream's number.
const TOKEN_SECONDS: i64 = 3607;
/// Annotation of the pods that mirror a kubelet's static pods.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) async fn admit(
    lookup: &Lookup,
    attempt: &Attempt<'_>,
    pod: &mut Value,
) -> Result<(), StatusError> {
    if meta::annotation(pod, MIRROR).is_some() {
        // The kubelet runs it whatever is said here; `references` looks that it uses nothing.
        return Ok(());
    }
    let name = match pod["spec"]["serviceAccountName"]
        .as_str()
        .unwrap_or_default()
    {
        "" => "default".to_owned(),
        name => name.to_owned(),
    };
    pod["spec"]["serviceAccountName"] = json!(name);
    pod["spec"]["serviceAccount"] = json!(name);
    let account = lookup
        .get("", "serviceaccounts", attempt.namespace, &name)
        .await?;
    let Some(account) = account else {
        let pods = GroupResource::new("", "pods");
        let why = format!(
            "error looking up service account {}/{name}: serviceaccount \"{name}\" not found",
            attempt.namespace
        );
        return Err(StatusError::forbidden(pods, &attempt.name, &why));
    };
    let wants_token = pod["spec"]["automountServiceAccountToken"]
        .as_bool()
        .or_else(|| account["automountServiceAccountToken"].as_bool())
        .unwrap_or(true);
    if wants_token {
        mount_token(pod);
    }
    let own = pod["spec"]["imagePullSecrets"].as_array();
    if own.is_none_or(Vec::is_empty)
        && let Some(secrets) = account["imagePullSecrets"].as_array()
        && !secrets.is_empty()
    {
        pod["spec"]["imagePullSecrets"] = json!(secrets);
    }
    Ok(())
}

/// Mounts one volume with the token, the authority's certificate and the namespace where nothing is mounted yet.
fn mount_token(pod: &mut Value) {
    let existing = pod["spec"]["volumes"].as_array().and_then(|volumes| {
        volumes.iter().find_map(|volume| {
            let name = volume["name"].as_str()?;
            name.starts_with("kube-api-access-")
                .then(|| name.to_owned())
        })
    });
    let volume = existing.clone().unwrap_or_else(|| {
        let mut rng = rand::rng();
        let alphabet = b"bcdfghjklmnpqrstvwxz2456789";
        let suffix: String = (0..5)
            .map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())]))
            .collect();
        format!("kube-api-access-{suffix}")
    });
    let mut mounted = false;
    for containers in ["initContainers", "containers"] {
        let list = pod["spec"]
            .get_mut(containers)
            .and_then(Value::as_array_mut);
        for container in list.into_iter().flatten() {
            let mounts = &mut container["volumeMounts"];
            if mounts.is_null() {
                *mounts = json!([]);
            }
            let Some(mounts) = mounts.as_array_mut() else {
                continue;
            };
            if mounts.iter().any(|mount| mount["mountPath"] == MOUNT_PATH) {
                continue;
            }
            mounts.push(json!({ "name": volume, "readOnly": true, "mountPath": MOUNT_PATH }));
            mounted = true;
        }
    }
    if !mounted || existing.is_some() {
        return;
    }
    let volumes = &mut pod["spec"]["volumes"];
    if volumes.is_null() {
        *volumes = json!([]);
    }
    if let Some(volumes) = volumes.as_array_mut() {
        volumes.push(token_volume(&volume));
    }
}

fn token_volume(name: &str) -> Value {
    json!({
        "name": name,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                { "serviceAccountToken": { "expirationSeconds": TOKEN_SECONDS, "path": "token" } },
                { "configMap": {
                    "name": "kube-root-ca.crt",
                    "items": [{ "key": "ca.crt", "path": "ca.crt" }],
                } },
                { "downwardAPI": { "items": [{
                    "path": "namespace",
                    "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                }] } },
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_mounted_once_in_every_container_that_has_none() {
        let mut pod = json!({"spec": {
            "initContainers": [{"name": "i"}],
            "containers": [{"name": "a"}, {"name": "b", "volumeMounts": [{"name": "x", "mountPath": MOUNT_PATH}]}],
        }});
        mount_token(&mut pod);
        assert_eq!(pod["spec"]["volumes"].as_array().unwrap().len(), 1);
        let name = pod["spec"]["volumes"][0]["name"].clone();
        assert_eq!(
            pod["spec"]["containers"][0]["volumeMounts"][0]["name"],
            name
        );
        assert_eq!(
            pod["spec"]["initContainers"][0]["volumeMounts"][0]["name"],
            name
        );
        assert_eq!(
            pod["spec"]["containers"][1]["volumeMounts"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        let before = pod.clone();
        mount_token(&mut pod);
        assert_eq!(pod, before);
    }
}
