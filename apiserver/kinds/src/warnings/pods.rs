//! Warnings about pods and pod templates.

use super::label_message;
use crate::value::{at, entries, entry, has, int, list, number, text};
use mainstay_machinery::field::Path;
use mainstay_machinery::gofmt::quote;
use mainstay_machinery::quantity::Quantity;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";

static ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        r#"non-functional in v1.16+; use the "priorityClassName" field instead"#,
    ),
    (
        "security.alpha.kubernetes.io/sysctls",
        r#"non-functional in v1.11+; use the "sysctls" field instead"#,
    ),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        r#"non-functional in v1.11+; use the "sysctls" field instead"#,
    ),
];

static VOLUMES: &[(&str, &str)] = &[
    (
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    (
        "gitRepo",
        "deprecated in v1.11, and disabled by default in v1.33+",
    ),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Joins the path of the template, if any, with a place in it.
struct Place<'p>(Option<&'p Path>);

impl Place<'_> {
    fn child(&self, name: &'static str) -> Path {
        self.0
            .map_or_else(|| Path::new(name), |path| path.child(name))
    }
}

pub(super) fn of_pod(pod: &Value, found: &mut Vec<String>) {
    all(pod, &Place(None), found);
}

pub(super) fn of_template(template: &Value, path: &Path, found: &mut Vec<String>) {
    all(template, &Place(Some(path)), found);
}

fn all(pod: &Value, place: &Place<'_>, found: &mut Vec<String>) {
    let Some(spec) = at(pod, "spec") else { return };
    let path = place.child("spec");
    scheduling(spec, &path, found);
    annotations(pod, &place.child("metadata").child("annotations"), found);
    volumes(spec, &path.child("volumes"), found);
    duplicates(spec, &path, found);
    let mut seen = Seen::default();
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        for (index, container) in list(spec, kind).iter().enumerate() {
            of_container(container, &path.child(kind).index(index), found);
        }
    }
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        for (index, container) in list(spec, kind).iter().enumerate() {
            let path = path.child(kind).index(index).child("ports");
            seen.ports(list(container, "ports"), &path, found);
        }
    }
    found.append(&mut seen.name_warnings);
    if number(spec, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let path = path.child("terminationGracePeriodSeconds");
        found.push(format!(
            "{path}: must be >= 0; negative values are invalid and will be treated as 1"
        ));
    }
    affinity(spec, &path.child("affinity"), found);
}

fn scheduling(spec: &Value, path: &Path, found: &mut Vec<String>) {
    for (key, _) in entries(spec, "nodeSelector") {
        if let Some(message) = label_message(key) {
            found.push(format!(
                "{}: {message}",
                path.child("nodeSelector").key(key)
            ));
        }
    }
    node_affinity(spec, &path.child("affinity").child("nodeAffinity"), found);
    for (index, constraint) in list(spec, "topologySpreadConstraints").iter().enumerate() {
        let path = path.child("topologySpreadConstraints").index(index);
        let key = text(constraint, "topologyKey");
        if let Some(message) = label_message(key) {
            found.push(format!("{}: {key} is {message}", path.child("topologyKey")));
        }
        if !has(constraint, "labelSelector") {
            found.push(format!("{}: {NO_SELECTOR}", path.child("labelSelector")));
        }
    }
}

fn node_affinity(spec: &Value, path: &Path, found: &mut Vec<String>) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let at_required = format!("affinity.nodeAffinity.{required}.nodeSelectorTerms");
    for (index, term) in list(spec, &at_required).iter().enumerate() {
        let path = path.child(required).child("nodeSelectorTerms").index(index);
        node_term(term, &path, found);
    }
    for (index, term) in list(spec, &format!("affinity.nodeAffinity.{preferred}"))
        .iter()
        .enumerate()
    {
        if let Some(preference) = at(term, "preference") {
            node_term(
                preference,
                &path.child(preferred).index(index).child("preference"),
                found,
            );
        }
    }
}

fn node_term(term: &Value, path: &Path, found: &mut Vec<String>) {
    for (index, expression) in list(term, "matchExpressions").iter().enumerate() {
        let key = text(expression, "key");
        if let Some(message) = label_message(key) {
            let path = path.child("matchExpressions").index(index).child("key");
            found.push(format!("{path}: {key} is {message}"));
        }
    }
}

fn annotations(pod: &Value, path: &Path, found: &mut Vec<String>) {
    for (key, message) in ANNOTATIONS {
        if entry(pod, "metadata.annotations", key).is_some() {
            found.push(format!("{}: {message}", path.key(*key)));
        }
    }
}

fn volumes(spec: &Value, path: &Path, found: &mut Vec<String>) {
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        for (source, message) in VOLUMES {
            if has(volume, source) {
                found.push(format!("{}: {message}", path.index(index).child(*source)));
            }
        }
    }
}

fn duplicates(spec: &Value, path: &Path, found: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (index, alias) in list(spec, "hostAliases").iter().enumerate() {
        let ip = text(alias, "ip");
        if !seen.insert(ip) {
            let path = path.child("hostAliases").index(index).child("ip");
            found.push(format!("{path}: duplicate ip {}", quote(ip)));
        }
    }
    let mut seen = BTreeSet::new();
    let secrets = list(spec, "imagePullSecrets");
    let name_path = |index| path.child("imagePullSecrets").index(index).child("name");
    for (index, secret) in secrets.iter().enumerate() {
        let name = text(secret, "name");
        if !seen.insert(name) {
            found.push(format!(
                "{}: duplicate name {}",
                name_path(index),
                quote(name)
            ));
        }
    }
    for (index, secret) in secrets.iter().enumerate() {
        if text(secret, "name").is_empty() {
            found.push(format!("{}: invalid empty name \"\"", name_path(index)));
        }
    }
}

fn of_container(container: &Value, path: &Path, found: &mut Vec<String>) {
    for resource in ["memory", "ephemeral-storage"] {
        for which in ["limits", "requests"] {
            let amount = entry(container, &format!("resources.{which}"), resource);
            fractional(
                amount,
                &path.child("resources").child(which).key(resource),
                found,
            );
        }
    }
    let mut seen = BTreeSet::new();
    for (index, variable) in list(container, "env").iter().enumerate() {
        let (name, value) = (text(variable, "name"), text(variable, "value"));
        let reference = format!("$({name})");
        let extends =
            value.contains(&reference) && value != reference && !has(variable, "valueFrom");
        if !seen.insert(name) && !extends {
            let path = path.child("env").index(index);
            let name = quote(name);
            found.push(format!(
                "{path}: hides previous definition of {name}, which may be dropped when using apply"
            ));
        }
    }
}

/// Bytes cannot be divided.
pub(super) fn fractional(amount: Option<&Value>, path: &Path, found: &mut Vec<String>) {
    let Some(Ok(amount)) = amount.map(Quantity::from_value) else {
        return;
    };
    if amount.milli_value() % 1000 != 0 {
        found.push(format!(
            "{path}: fractional byte value \"{amount}\" is invalid, must be an integer"
        ));
    }
}

/// Ports of the containers before.
#[derive(Default)]
struct Seen<'v> {
    ports: BTreeMap<(i64, &'v str), Vec<(Path, &'v Value)>>,
    names: BTreeMap<&'v str, Path>,
    /// Upstream reports names after all numbers.
    name_warnings: Vec<String>,
}

impl<'v> Seen<'v> {
    fn ports(&mut self, ports: &'v [Value], path: &Path, found: &mut Vec<String>) {
        for (index, port) in ports.iter().enumerate() {
            let path = path.index(index);
            let others = self
                .ports
                .entry((int(port, "containerPort"), text(port, "protocol")))
                .or_default();
            for (other_path, other) in others.iter() {
                if let Some(problem) = clash(port, other) {
                    found.push(format!(
                        "{path}: {problem} port definition with {other_path}"
                    ));
                }
            }
            others.push((path.clone(), port));
            self.name(port, &path);
        }
    }

    fn name(&mut self, port: &'v Value, path: &Path) {
        let name = text(port, "name");
        if name.is_empty() {
            return;
        }
        match self.names.get(name) {
            Some(other) => self.name_warnings.push(format!(
                "{path}: duplicate port name {} with {other}, services and probes that select ports by name will use {other}",
                quote(name)
            )),
            None => {
                self.names.insert(name, path.clone());
            }
        }
    }
}

fn clash(port: &Value, other: &Value) -> Option<&'static str> {
    let (host, other_host) = (int(port, "hostPort"), int(other, "hostPort"));
    let (ip, other_ip) = (text(port, "hostIP"), text(other, "hostIP"));
    if host == other_host && ip == other_ip {
        Some("duplicate")
    } else if host == 0 || other_host == 0 {
        Some("overlapping")
    } else if host == other_host && ip.is_empty() != other_ip.is_empty() {
        Some("dangerously ambiguous")
    } else {
        None
    }
}

fn affinity(spec: &Value, path: &Path, found: &mut Vec<String>) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        for (rule, weighted) in [
            ("requiredDuringSchedulingIgnoredDuringExecution", false),
            ("preferredDuringSchedulingIgnoredDuringExecution", true),
        ] {
            let terms = list(spec, &format!("affinity.{kind}.{rule}"));
            for (index, term) in terms.iter().enumerate() {
                let mut path = path.child(kind).child(rule).index(index);
                let mut term = Some(term);
                if weighted {
                    path = path.child("podAffinityTerm");
                    term = term.and_then(|term| at(term, "podAffinityTerm"));
                }
                if !term.is_some_and(|term| has(term, "labelSelector")) {
                    found.push(format!("{}: {NO_SELECTOR}", path.child("labelSelector")));
                }
            }
        }
    }
}
