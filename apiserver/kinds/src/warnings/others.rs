//! Warnings about everything but pods.

use super::label_message;
use super::pods::fractional;
use crate::value::{at, entries, entry, has, is_empty, list, text};
use mainstay_machinery::field::Path;
use mainstay_machinery::gofmt::quote;
use mainstay_machinery::validate::dns1123_label;
use serde_json::Value;

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const CLASS_MESSAGE: &str = r#"deprecated since v1.8; use "storageClassName" attribute instead"#;
const MOUNT_ANNOTATION: &str = "volume.beta.kubernetes.io/mount-options";
const MOUNT_MESSAGE: &str = r#"deprecated since v1.31; use "mountOptions" attribute instead"#;
const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const INGRESS_CLASS: &str = "kubernetes.io/ingress.class";

static VOLUMES: &[(&str, &str)] = &[
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    (
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

fn name_warning(object: &Value, used_in: &str, found: &mut Vec<String>) {
    let messages = dns1123_label(text(object, "metadata.name"));
    if !messages.is_empty() {
        found.push(format!(
            "metadata.name: this is used in {used_in}, which can result in surprising behavior; a DNS label is recommended: [{}]",
            messages.join(" ")
        ));
    }
}

pub(super) fn pod_name(pod: &Value, found: &mut Vec<String>) {
    name_warning(pod, "the Pod's hostname", found);
}

/// Names of workloads become names of pods. Only on creation: a name cannot be changed.
pub(super) fn workload_name(
    object: &Value,
    kind: &str,
    old: Option<&Value>,
    found: &mut Vec<String>,
) {
    let names_pods = matches!(
        kind,
        "Deployment" | "ReplicaSet" | "ReplicationController" | "Job" | "CronJob"
    );
    if old.is_none() && names_pods {
        name_warning(object, "Pod names and hostnames", found);
    }
}

/// Only on updates: creation refuses it.
pub(super) fn cron_job(cron_job: &Value, found: &mut Vec<String>) {
    if text(cron_job, "spec.schedule").contains("TZ") {
        found.push("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".to_owned());
    }
}

pub(super) fn service(service: &Value, found: &mut Vec<String>) {
    let external_ips = !list(service, "spec.externalIPs").is_empty();
    let kind = text(service, "spec.type");
    let headless = kind == "ClusterIP" && text(service, "spec.clusterIP") == "None";
    if entry(service, "metadata.annotations", TOPOLOGY_HINTS).is_some() {
        found.push(format!("annotation {TOPOLOGY_HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"));
    }
    if headless {
        if has(service, "spec.loadBalancerIP") && !text(service, "spec.loadBalancerIP").is_empty() {
            found.push("spec.loadBalancerIP is ignored for headless services".to_owned());
        }
        if external_ips {
            found.push("spec.externalIPs is ignored for headless services".to_owned());
        }
        if text(service, "spec.sessionAffinity") != "None" {
            found.push("spec.SessionAffinity is ignored for headless services".to_owned());
        }
    }
    if external_ips && !headless && kind != "ExternalName" {
        found.push(
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
                .to_owned(),
        );
    }
    if external_ips && kind == "ExternalName" {
        found.push(r#"spec.externalIPs is ignored when spec.type is "ExternalName""#.to_owned());
    }
    if kind != "ExternalName" && !text(service, "spec.externalName").is_empty() {
        found.push(
            r#"spec.externalName is ignored when spec.type is not "ExternalName""#.to_owned(),
        );
    }
    if text(service, "spec.trafficDistribution") == "PreferClose" {
        found.push(
            r#"spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone""#
                .to_owned(),
        );
    }
}

fn annotation(object: &Value, key: &str, message: &str, found: &mut Vec<String>) {
    if entry(object, "metadata.annotations", key).is_some() {
        found.push(format!("metadata.annotations[{key}]: {message}"));
    }
}

pub(super) fn volume(volume: &Value, found: &mut Vec<String>) {
    annotation(volume, CLASS_ANNOTATION, CLASS_MESSAGE, found);
    annotation(volume, MOUNT_ANNOTATION, MOUNT_MESSAGE, found);
    for (source, message) in VOLUMES {
        if has(volume, &format!("spec.{source}")) {
            found.push(format!("spec.{source}: {message}"));
        }
    }
}

pub(super) fn claim(claim: &Value, found: &mut Vec<String>) {
    annotation(claim, CLASS_ANNOTATION, CLASS_MESSAGE, found);
    for which in ["requests", "limits"] {
        let amount = at(claim, &format!("spec.resources.{which}.storage"));
        let path = Path::new("spec")
            .child("resources")
            .child(which)
            .key("storage");
        fractional(amount, &path, found);
    }
}

pub(super) fn node(node: &Value, found: &mut Vec<String>) {
    if has(node, "spec.configSource") {
        found.push("spec.configSource: the feature is removed".to_owned());
    }
    if !is_empty(at(node, "spec.externalID")) {
        found.push(
            "spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned(),
        );
    }
}

pub(super) fn ingress(ingress: &Value, found: &mut Vec<String>) {
    if entry(ingress, "metadata.annotations", INGRESS_CLASS).is_some()
        && !has(ingress, "spec.ingressClassName")
    {
        let class = quote(INGRESS_CLASS);
        found.push(format!(
            "annotation {class} is deprecated, please use 'spec.ingressClassName' instead"
        ));
    }
}

pub(super) fn runtime_class(class: &Value, found: &mut Vec<String>) {
    for (key, _) in entries(class, "scheduling.nodeSelector") {
        if let Some(message) = label_message(key) {
            found.push(format!("scheduling.nodeSelector: {message}"));
        }
    }
}

pub(super) fn driver(driver: &Value, found: &mut Vec<String>) {
    if !list(driver, "spec.tokenRequests").is_empty()
        && !has(driver, "spec.serviceAccountTokenInSecrets")
    {
        found.push("spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes".to_owned());
    }
}

pub(super) fn storage_class(class: &Value, found: &mut Vec<String>) {
    for (index, topology) in list(class, "allowedTopologies").iter().enumerate() {
        for (at, expression) in list(topology, "matchLabelExpressions").iter().enumerate() {
            if let Some(message) = label_message(text(expression, "key")) {
                let path = Path::new("allowedTopologies")
                    .index(index)
                    .child("matchLabelExpressions");
                found.push(format!("{}: {message}", path.index(at).child("key")));
            }
        }
    }
}

pub(super) fn endpoint_slice(slice: &Value, found: &mut Vec<String>) {
    if text(slice, "addressType") == "FQDN" {
        found.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
    }
}
