//! The checks of the restricted level. Names with a version count from that version on.

use std::collections::BTreeSet;

use serde_json::Value;

use super::baseline::{is_safe_seccomp, listed_capabilities};
use super::check::Violation;
use super::pod::{Pod, bad_settings, field, name_containers, plural, quote, setters, text};

fn violation(reason: &'static str, detail: String) -> Option<Violation> {
    Some(Violation { reason, detail })
}

pub(super) fn privilege_escalation(pod: Pod<'_>) -> Option<Violation> {
    let pointer = "/securityContext/allowPrivilegeEscalation";
    let containers = pod.containers_where(|container| {
        field(container, pointer).and_then(Value::as_bool) != Some(false)
    });
    if containers.is_empty() {
        return None;
    }
    violation(
        "allowPrivilegeEscalation != false",
        format!(
            "{} must set securityContext.allowPrivilegeEscalation=false",
            name_containers(&containers)
        ),
    )
}

pub(super) fn privilege_escalation_1_25(pod: Pod<'_>) -> Option<Violation> {
    if pod.is_windows() {
        None
    } else {
        privilege_escalation(pod)
    }
}

pub(super) fn capabilities(pod: Pod<'_>) -> Option<Violation> {
    let keeping = pod.containers_where(|container| {
        !listed_capabilities(container, "drop").any(|name| name == "ALL")
    });
    let mut added = BTreeSet::new();
    let adding = pod.containers_where(|container| {
        let bad: Vec<&str> = listed_capabilities(container, "add")
            .filter(|name| *name != "NET_BIND_SERVICE")
            .collect();
        added.extend(bad.iter().copied());
        !bad.is_empty()
    });
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details.push(format!(
            r#"{} must set securityContext.capabilities.drop=["ALL"]"#,
            name_containers(&keeping)
        ));
    }
    if !adding.is_empty() {
        let (who, what) = (name_containers(&adding), quote(&added));
        details.push(format!(
            "{who} must not include {what} in securityContext.capabilities.add"
        ));
    }
    if details.is_empty() {
        None
    } else {
        violation("unrestricted capabilities", details.join("; "))
    }
}

pub(super) fn capabilities_1_25(pod: Pod<'_>) -> Option<Violation> {
    if pod.is_windows() {
        None
    } else {
        capabilities(pod)
    }
}

const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Volume sources that are not allowed, in the order in which a volume with several is named.
const RESTRICTED_VOLUMES: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

pub(super) fn volumes(pod: Pod<'_>) -> Option<Violation> {
    let has =
        |volume: &Value, source: &str| volume.get(source).is_some_and(|source| !source.is_null());
    let (mut names, mut kinds) = (Vec::new(), BTreeSet::new());
    for volume in pod
        .volumes()
        .filter(|volume| !VOLUMES.iter().any(|source| has(volume, source)))
    {
        names.push(text(volume, "/name"));
        let kind = RESTRICTED_VOLUMES.iter().find(|source| has(volume, source));
        kinds.insert(kind.copied().unwrap_or("unknown"));
    }
    if names.is_empty() {
        return None;
    }
    violation(
        "restricted volume types",
        format!(
            "{} {} {} {} {}",
            plural("volume", "volumes", names.len()),
            quote(&names),
            plural("uses", "use", names.len()),
            plural(
                "restricted volume type",
                "restricted volume types",
                kinds.len()
            ),
            quote(&kinds)
        ),
    )
}

pub(super) fn run_as_non_root(pod: Pod<'_>) -> Option<Violation> {
    let pointer = "/securityContext/runAsNonRoot";
    let set = |value: &Value| field(value, pointer).and_then(Value::as_bool);
    let of_pod = set(pod.spec);
    let explicit = pod.containers_where(|container| set(container) == Some(false));
    if let Some(who) = setters(of_pod == Some(false), &explicit) {
        let detail = format!("{who} must not set securityContext.runAsNonRoot=false");
        return violation("runAsNonRoot != true", detail);
    }
    let silent = pod.containers_where(|container| set(container).is_none() && of_pod != Some(true));
    if silent.is_empty() {
        return None;
    }
    violation(
        "runAsNonRoot != true",
        format!(
            "pod or {} must set securityContext.runAsNonRoot=true",
            name_containers(&silent)
        ),
    )
}

pub(super) fn run_as_non_root_1_35(pod: Pod<'_>) -> Option<Violation> {
    if pod.has_own_users() {
        None
    } else {
        run_as_non_root(pod)
    }
}

pub(super) fn run_as_user(pod: Pod<'_>) -> Option<Violation> {
    let is_root = |value: &Value| {
        field(value, "/securityContext/runAsUser").and_then(Value::as_i64) == Some(0)
    };
    let who = setters(is_root(pod.spec), &pod.containers_where(is_root))?;
    violation("runAsUser=0", format!("{who} must not set runAsUser=0"))
}

pub(super) fn run_as_user_1_35(pod: Pod<'_>) -> Option<Violation> {
    if pod.has_own_users() {
        None
    } else {
        run_as_user(pod)
    }
}

pub(super) fn seccomp(pod: Pod<'_>) -> Option<Violation> {
    let pointer = "/securityContext/seccompProfile/type";
    let (of_pod, containers, values) = bad_settings(pod, pointer, is_safe_seccomp);
    if let Some(who) = setters(of_pod, &containers) {
        let what = quote(&values);
        return violation(
            "seccompProfile",
            format!("{who} must not set securityContext.seccompProfile.type to {what}"),
        );
    }
    let is_set = |value: &Value| field(value, "/securityContext/seccompProfile").is_some();
    if is_set(pod.spec) {
        return None;
    }
    let silent = pod.containers_where(|container| !is_set(container));
    if silent.is_empty() {
        return None;
    }
    violation(
        "seccompProfile",
        format!(
            r#"pod or {} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost""#,
            name_containers(&silent)
        ),
    )
}

pub(super) fn seccomp_1_25(pod: Pod<'_>) -> Option<Violation> {
    if pod.is_windows() { None } else { seccomp(pod) }
}
