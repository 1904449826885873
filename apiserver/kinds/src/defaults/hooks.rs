//! Defaults that need more than a rule: one function each, named by the table.

use super::pod_level;
use crate::image;
use crate::quantities;
use crate::value::{at, has, int, is_empty, list, map, set, text};
use serde_json::{Map, Value, json};

/// Changes one place of an object.
pub(super) type Hook = fn(&mut Value);

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
/// Labelled on every namespace, so that selectors can name one.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// How long a client stays with one backend when a service asks for affinity and says nothing else.
const CLIENT_IP_AFFINITY_SECONDS: i64 = 10_800;
/// What an autoscaler without metrics aims at.
const CPU_UTILIZATION_PERCENT: i64 = 80;

static HOOKS: &[(&str, Hook)] = &[
    ("allocatable", allocatable),
    ("cpu_metric", cpu_metric),
    ("csi_lifecycle_modes", csi_lifecycle_modes),
    ("custom_names", custom_names),
    ("empty_dir", empty_dir),
    ("external_traffic_policy", external_traffic_policy),
    ("host_network_ports", host_network_ports),
    ("image_pull_policy", image_pull_policy),
    ("image_volume_pull_policy", image_volume_pull_policy),
    ("ip_mode", ip_mode),
    ("job_completions", job_completions),
    ("job_labels", job_labels),
    ("labels_from_template", labels_from_template),
    ("limit_range_item", limit_range_item),
    ("namespace_label", namespace_label),
    ("pod_level_resources", pod_level::fill),
    ("policy_types", policy_types),
    ("requests_from_limits", requests_from_limits),
    ("round_quantities", quantities::round_up_to_milli),
    ("scaling_rules", scaling_rules),
    ("service_account_alias", service_account_alias),
    ("session_affinity", session_affinity),
    ("subject_group", subject_group),
    ("target_port", target_port),
];

pub(super) fn by_name(name: &str) -> Option<Hook> {
    HOOKS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, hook)| *hook)
}

fn pull_policy(image: &str) -> &'static str {
    if image::tag_is_latest(image) {
        "Always"
    } else {
        "IfNotPresent"
    }
}

fn image_pull_policy(container: &mut Value) {
    if text(container, "imagePullPolicy").is_empty() {
        set(
            container,
            "imagePullPolicy",
            pull_policy(text(container, "image")),
        );
    }
}

fn image_volume_pull_policy(source: &mut Value) {
    if text(source, "pullPolicy").is_empty() {
        set(source, "pullPolicy", pull_policy(text(source, "reference")));
    }
}

/// A volume without a source is an empty directory.
fn empty_dir(volume: &mut Value) {
    let Some(fields) = volume.as_object_mut() else {
        return;
    };
    if fields
        .iter()
        .all(|(name, source)| name == "name" || source.is_null())
    {
        fields.insert("emptyDir".to_owned(), json!({}));
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are served, the new one wins.
fn service_account_alias(spec: &mut Value) {
    let name = match text(spec, "serviceAccountName") {
        "" => text(spec, "serviceAccount").to_owned(),
        name => name.to_owned(),
    };
    if !name.is_empty() {
        set(spec, "serviceAccountName", name.as_str());
        set(spec, "serviceAccount", name);
    }
}

/// Requests a container does not state are its limits. Only in pods: templates keep what was written.
fn requests_from_limits(container: &mut Value) {
    copy_missing(container, "resources.limits", "resources.requests");
}

/// Adds to the object at `to` the entries of the object at `from` it does not have.
fn copy_missing(value: &mut Value, from: &str, to: &str) {
    let Some(source) = map(value, from).cloned() else {
        return;
    };
    if let Some(target) = crate::value::ensure(value, to) {
        for (key, amount) in source {
            target.entry(key).or_insert(amount);
        }
    }
}

/// In the host's network a container's ports are the host's.
fn host_network_ports(spec: &mut Value) {
    for containers in ["containers", "initContainers"] {
        let Some(Value::Array(containers)) = spec.get_mut(containers) else {
            continue;
        };
        for container in containers {
            let Some(Value::Array(ports)) = container.get_mut("ports") else {
                continue;
            };
            for port in ports.iter_mut().filter(|port| int(port, "hostPort") == 0) {
                if let Some(number) = at(port, "containerPort").cloned() {
                    set(port, "hostPort", number);
                }
            }
        }
    }
}

fn labels_from_template(controller: &mut Value) {
    let labels = map(controller, "spec.template.metadata.labels")
        .cloned()
        .unwrap_or_default();
    if labels.is_empty() {
        return;
    }
    for place in ["spec.selector", "metadata.labels"] {
        if is_empty(at(controller, place)) {
            set(controller, place, labels.clone());
        }
    }
}

fn job_labels(job: &mut Value) {
    if let Some(labels) = map(job, "spec.template.metadata.labels").cloned()
        && !labels.is_empty()
        && is_empty(at(job, "metadata.labels"))
    {
        set(job, "metadata.labels", labels);
    }
}

/// A job that says neither how often nor how many at a time runs once.
fn job_completions(spec: &mut Value) {
    if !has(spec, "completions") && !has(spec, "parallelism") {
        set(spec, "completions", 1);
        set(spec, "parallelism", 1);
    }
}

fn session_affinity(spec: &mut Value) {
    match text(spec, "sessionAffinity") {
        "None" => {
            crate::value::take(spec, "sessionAffinityConfig");
        }
        "ClientIP" if !has(spec, "sessionAffinityConfig.clientIP.timeoutSeconds") => {
            let config = json!({"clientIP": {"timeoutSeconds": CLIENT_IP_AFFINITY_SECONDS}});
            set(spec, "sessionAffinityConfig", config);
        }
        _ => {}
    }
}

fn target_port(port: &mut Value) {
    if is_empty(at(port, "targetPort"))
        && let Some(number) = at(port, "port").cloned()
    {
        set(port, "targetPort", number);
    }
}

/// Services that can be reached from outside say how that traffic is spread.
fn external_traffic_policy(spec: &mut Value) {
    let external = match text(spec, "type") {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => !list(spec, "externalIPs").is_empty(),
        _ => false,
    };
    if external && text(spec, "externalTrafficPolicy").is_empty() {
        set(spec, "externalTrafficPolicy", "Cluster");
    }
}

/// Applied to the ingress points of load balancers.
fn ip_mode(ingress: &mut Value) {
    if !text(ingress, "ip").is_empty() && !has(ingress, "ipMode") {
        set(ingress, "ipMode", "VIP");
    }
}

/// A namespace still without a name gets its label when the name is generated (see `strategy`).
fn namespace_label(namespace: &mut Value) {
    let name = text(namespace, "metadata.name").to_owned();
    if !name.is_empty()
        && let Some(labels) = crate::value::ensure(namespace, "metadata.labels")
    {
        labels.insert(NAMESPACE_NAME_LABEL.to_owned(), name.into());
    }
}

fn allocatable(status: &mut Value) {
    if !has(status, "allocatable")
        && let Some(capacity) = at(status, "capacity").cloned()
    {
        set(status, "allocatable", capacity);
    }
}

/// Limits of containers: the default limit is the maximum, the default request is the default limit
/// or else the minimum.
fn limit_range_item(item: &mut Value) {
    if text(item, "type") == "Container" {
        set_empty_map(item, "default");
        set_empty_map(item, "defaultRequest");
        copy_missing(item, "max", "default");
        copy_missing(item, "default", "defaultRequest");
        copy_missing(item, "min", "defaultRequest");
        for name in ["default", "defaultRequest"] {
            if is_empty(at(item, name)) {
                crate::value::take(item, name);
            }
        }
    }
}

fn set_empty_map(value: &mut Value, name: &str) {
    if !has(value, name) {
        set(value, name, Map::new());
    }
}

fn csi_lifecycle_modes(spec: &mut Value) {
    if list(spec, "volumeLifecycleModes").is_empty() {
        set(spec, "volumeLifecycleModes", json!(["Persistent"]));
    }
}

fn cpu_metric(spec: &mut Value) {
    if list(spec, "metrics").is_empty() {
        let target = json!({"type": "Utilization", "averageUtilization": CPU_UTILIZATION_PERCENT});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        set(spec, "metrics", json!([metric]));
    }
}

/// Rules for both directions, completed where only some are given.
fn scaling_rules(behavior: &mut Value) {
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    let up = json!({
        "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [pods, percent],
    });
    let down = json!({"selectPolicy": "Max", "policies": [percent]});
    for (direction, rules) in [("scaleUp", up), ("scaleDown", down)] {
        for (field, default) in rules.as_object().into_iter().flatten() {
            let path = format!("{direction}.{field}");
            if !has(behavior, &path) {
                set(behavior, &path, default.clone());
            }
        }
    }
}

fn policy_types(spec: &mut Value) {
    if list(spec, "policyTypes").is_empty() {
        let egress = !list(spec, "egress").is_empty();
        let types = if egress {
            json!(["Ingress", "Egress"])
        } else {
            json!(["Ingress"])
        };
        set(spec, "policyTypes", types);
    }
}

fn subject_group(subject: &mut Value) {
    if text(subject, "apiGroup").is_empty() && matches!(text(subject, "kind"), "User" | "Group") {
        set(subject, "apiGroup", RBAC_GROUP);
    }
}

fn custom_names(names: &mut Value) {
    let kind = text(names, "kind").to_owned();
    if kind.is_empty() {
        return;
    }
    if text(names, "singular").is_empty() {
        set(names, "singular", kind.to_lowercase());
    }
    if text(names, "listKind").is_empty() {
        set(names, "listKind", format!("{kind}List"));
    }
}
