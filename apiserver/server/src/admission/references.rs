//! What pods may refer to: secrets that their service account lists, if it is enforced; nothing, for mirror pods.

use mainstay_auth::node::has_api_reference;
use mainstay_machinery::meta;
use mainstay_machinery::status::{GroupResource, StatusError};
use serde_json::Value;

use super::service_account::MIRROR;
use super::{Attempt, Lookup, Operation};

/// Annotation of service accounts whose pods use no other secrets than those listed.
const ENFORCED: &str = "kubernetes.io/enforce-mountable-secrets";

pub(super) async fn check(
    lookup: &Lookup,
    attempt: &Attempt<'_>,
    pod: &Value,
) -> Result<(), StatusError> {
    let creates = attempt.is("", "pods") && attempt.operation == Operation::Create;
    let debugs = attempt.resource.group.is_empty()
        && attempt.resource.plural == "pods"
        && attempt.subresource == "ephemeralcontainers";
    if !creates && !debugs {
        return Ok(());
    }
    let forbidden = |why: String| {
        let pods = GroupResource::new("", "pods");
        StatusError::forbidden(pods, &attempt.name, why)
    };
    if meta::annotation(pod, MIRROR).is_some() {
        return mirror(pod).map_err(|why| forbidden(why.to_owned()));
    }
    let name = pod["spec"]["serviceAccountName"]
        .as_str()
        .unwrap_or_default();
    let found = lookup
        .get("", "serviceaccounts", attempt.namespace, name)
        .await?;
    let enforced = |account: &&Value| {
        // What Go reads as true.
        let text = meta::annotation(account, ENFORCED).unwrap_or_default();
        matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
    };
    let Some(account) = found.as_deref().filter(enforced) else {
        return Ok(());
    };
    let kinds: &[_] = match debugs {
        true => &[("ephemeralContainers", "ephemeral container")],
        false => &CONTAINERS,
    };
    match violation(account, pod, kinds, creates) {
        None => Ok(()),
        Some(why) => Err(forbidden(why)),
    }
}

/// Lists of containers and what each is called.
const CONTAINERS: [(&str, &str); 2] = [
    ("initContainers", "init container"),
    ("containers", "container"),
];

fn mirror(pod: &Value) -> Result<(), &'static str> {
    match has_api_reference(pod) {
        Ok(Some("serviceaccounts")) => {
            return Err("a mirror pod may not reference service accounts");
        }
        Ok(Some(found)) if found.starts_with("secrets") => {
            return Err("a mirror pod may not reference secrets");
        }
        // A volume that nobody knows is validation's business.
        _ => {}
    }
    let volumes = items(&pod["spec"], "volumes");
    let mut sources = volumes.flat_map(|volume| items(&volume["projected"], "sources"));
    match sources.any(|source| !source["serviceAccountToken"].is_null()) {
        true => Err("a mirror pod may not use ServiceAccountToken volume projections"),
        false => Ok(()),
    }
}

fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

/// The first secret that the account does not list.
fn violation(account: &Value, pod: &Value, kinds: &[(&str, &str)], whole: bool) -> Option<String> {
    let name = meta::name(account);
    let lists =
        |field: &str, secret: &Value| items(account, field).any(|own| own["name"] == *secret);
    let refused = |secret: &Value| !secret.is_null() && !lists("secrets", secret);
    let shown = |secret: &Value| secret.as_str().unwrap_or_default().to_owned();
    let ending = |secret: &Value| {
        format!(
            "secret.secretName=\"{}\" is not allowed because service account {name} does not reference that secret",
            shown(secret)
        )
    };
    let volumes = items(&pod["spec"], "volumes").filter(|_| whole);
    for secret in volumes.map(|volume| &volume["secret"]["secretName"]) {
        if refused(secret) {
            return Some(format!("volume with {}", ending(secret)));
        }
    }
    for (field, kind) in kinds {
        for container in items(&pod["spec"], field) {
            let called = meta_name(container);
            for variable in items(container, "env") {
                let secret = &variable["valueFrom"]["secretKeyRef"]["name"];
                if refused(secret) {
                    let variable = meta_name(variable);
                    let ending = ending(secret);
                    return Some(format!(
                        "{kind} {called} with envVar {variable} referencing {ending}"
                    ));
                }
            }
            for source in items(container, "envFrom") {
                let secret = &source["secretRef"]["name"];
                if refused(secret) {
                    let ending = ending(secret);
                    return Some(format!("{kind} {called} with envFrom referencing {ending}"));
                }
            }
        }
    }
    let pulls = items(&pod["spec"], "imagePullSecrets").filter(|_| whole);
    for (index, reference) in pulls.enumerate() {
        let secret = &reference["name"];
        if !lists("imagePullSecrets", secret) {
            return Some(format!(
                "imagePullSecrets[{index}].name=\"{}\" is not allowed because service account {name} does not reference that imagePullSecret",
                shown(secret)
            ));
        }
    }
    None
}

/// The `name` beside other fields, of containers and variables.
fn meta_name(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_listed_secrets_may_be_used() {
        let account = json!({
            "metadata": {"name": "a"},
            "secrets": [{"name": "own"}],
            "imagePullSecrets": [{"name": "pull"}],
        });
        let env = |secret: &str| json!([{"name": "V", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}]);
        let because = "is not allowed because service account a does not reference that secret";
        let cases = [
            (json!({"volumes": [{"secret": {"secretName": "own"}}]}), String::new()),
            (
                json!({"volumes": [{"secret": {"secretName": "other"}}]}),
                format!("volume with secret.secretName=\"other\" {because}"),
            ),
            (json!({"containers": [{"name": "c", "env": env("own")}]}), String::new()),
            (
                json!({"containers": [{"name": "c", "env": env("other")}]}),
                format!("container c with envVar V referencing secret.secretName=\"other\" {because}"),
            ),
            (
                json!({"initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "other"}}]}]}),
                format!("init container i with envFrom referencing secret.secretName=\"other\" {because}"),
            ),
            (json!({"imagePullSecrets": [{"name": "pull"}]}), String::new()),
            (
                json!({"imagePullSecrets": [{"name": "pull"}, {"name": "x"}]}),
                "imagePullSecrets[1].name=\"x\" is not allowed because service account a does not reference that imagePullSecret".to_owned(),
            ),
        ];
        for (spec, expected) in cases {
            let pod = json!({"spec": spec});
            let found = violation(&account, &pod, &CONTAINERS, true);
            assert_eq!(found.unwrap_or_default(), expected, "{pod}");
        }
    }

    #[test]
    fn mirror_pods_use_nothing_of_the_api() {
        let token = json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]});
        let cases = [
            (
                json!({"serviceAccountName": "a"}),
                Err("a mirror pod may not reference service accounts"),
            ),
            (
                json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}),
                Err("a mirror pod may not reference secrets"),
            ),
            (
                token,
                Err("a mirror pod may not use ServiceAccountToken volume projections"),
            ),
            (json!({"volumes": [{"name": "v", "emptyDir": {}}]}), Ok(())),
        ];
        for (spec, expected) in cases {
            assert_eq!(mirror(&json!({"spec": spec})), expected);
        }
    }
}
