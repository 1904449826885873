//! Containers of a pod: names, images, ports, what they mount and how they are restarted.

use super::place::{Place, has_backsteps};
use super::{env, probes, resources, security};
use crate::value::{has, list, text};
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::validate::port_name;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
const RESTART_RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;

/// Fields an ephemeral container may not have: it comes too late for them.
const NOT_EPHEMERAL: [&str; 6] = [
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resources",
    "startupProbe",
];

/// What the containers of a pod share.
pub(super) struct Pod<'v> {
    pub(super) spec: &'v Value,
    /// Valid volumes by name, with their source.
    pub(super) volumes: BTreeMap<&'v str, &'v Value>,
}

/// All containers of a pod spec.
pub(super) fn all(spec: &Place<'_>, pod: &Pod<'_>, errors: &mut ErrorList) {
    regular(&spec.at("containers"), pod, errors);
    initial(&spec.at("initContainers"), pod, errors);
    ephemeral(&spec.at("ephemeralContainers"), pod, errors);
}

fn regular(containers: &Place<'_>, pod: &Pod<'_>, errors: &mut ErrorList) {
    if containers.is_empty() {
        containers.required("", errors);
        return;
    }
    let mut names = BTreeSet::new();
    for container in containers.items() {
        common(&container, pod, errors);
        let name = container.at("name");
        if !names.insert(name.text()) {
            name.duplicate(errors);
        }
        probes::lifecycle(&container.at("lifecycle"), pod.spec, errors);
        probes::all(&container, errors);
        restart_policy(&container, errors);
    }
    host_ports(containers.items(), errors);
}

fn initial(containers: &Place<'_>, pod: &Pod<'_>, errors: &mut ErrorList) {
    let mut names: BTreeSet<&str> = list(pod.spec, "containers")
        .iter()
        .map(|container| text(container, "name"))
        .collect();
    for container in containers.items() {
        common(&container, pod, errors);
        restart_policy(&container, errors);
        let name = container.at("name");
        if !name.text().is_empty() && !names.insert(name.text()) {
            name.duplicate(errors);
        }
        host_ports(std::iter::once(container.clone()), errors);
        if container.at("restartPolicy").text() == "Always" {
            probes::lifecycle(&container.at("lifecycle"), pod.spec, errors);
            probes::all(&container, errors);
            continue;
        }
        for field in [
            "lifecycle",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
        ] {
            if container.at(field).is_set() {
                let detail = "may not be set for init containers without restartPolicy=Always";
                container.at(field).forbidden(detail, errors);
            }
        }
        for policy in container.at("resizePolicy").items() {
            if policy.at("restartPolicy").text() == "RestartContainer" {
                let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
                policy.at("restartPolicy").invalid(detail, errors);
            }
        }
    }
}

fn ephemeral(containers: &Place<'_>, pod: &Pod<'_>, errors: &mut ErrorList) {
    let others: BTreeSet<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|kind| list(pod.spec, kind))
        .map(|container| text(container, "name"))
        .collect();
    let mut names = others.clone();
    for container in containers.items() {
        common(&container, pod, errors);
        trimmed_image(&container, errors);
        if !names.insert(container.at("name").text()) {
            container.at("name").duplicate(errors);
        }
        let target = container.at("targetContainerName");
        if !target.is_empty() && !others.contains(target.text()) {
            target.not_found(errors);
        }
        let detail = "cannot be set for an Ephemeral Container";
        for field in NOT_EPHEMERAL {
            if !container.at(field).is_empty() {
                container.at(field).forbidden(detail, errors);
            }
        }
        for mount in container.at("volumeMounts").items() {
            for field in ["subPath", "subPathExpr"] {
                if !mount.at(field).is_empty() {
                    mount.at(field).forbidden(detail, errors);
                }
            }
        }
    }
}

/// Only of pods: templates may have been stored with such images.
pub(super) fn trimmed_image(container: &Place<'_>, errors: &mut ErrorList) {
    let image = container.at("image");
    if image.text().trim() != image.text() {
        image.invalid("must not have leading or trailing whitespace", errors);
    }
}

fn common(container: &Place<'_>, pod: &Pod<'_>, errors: &mut ErrorList) {
    let name = container.at("name");
    if name.text().is_empty() {
        name.required("", errors);
    } else {
        name.dns_label(errors);
    }
    container.at("image").must_be_set(errors);
    container
        .at("terminationMessagePolicy")
        .one_of(&["File", "FallbackToLogsOnError"], errors);
    ports(&container.at("ports"), errors);
    env::variables(&container.at("env"), errors);
    env::sources(&container.at("envFrom"), errors);
    mounts(container, pod, errors);
    devices(container, pod, errors);
    container
        .at("imagePullPolicy")
        .one_of(PULL_POLICIES, errors);
    resources::requirements(
        &container.at("resources"),
        resources::Owner::Container,
        errors,
    );
    resources::claim_names(&container.at("resources.claims"), pod.spec, errors);
    resize_policy(&container.at("resizePolicy"), pod.spec, errors);
    security::of_container(&container.at("securityContext"), pod.spec, errors);
}

fn ports(ports: &Place<'_>, errors: &mut ErrorList) {
    let mut names = BTreeSet::new();
    for port in ports.items() {
        let name = port.at("name");
        if !name.text().is_empty() {
            let messages = port_name(name.text());
            if messages.is_empty() && !names.insert(name.text()) {
                name.duplicate(errors);
            }
            name.messages(messages, errors);
        }
        let number = port.at("containerPort");
        if number.int() == 0 {
            number.required("", errors);
        } else {
            number.port(errors);
        }
        if port.at("hostPort").int() != 0 {
            port.at("hostPort").port(errors);
        }
        port.at("protocol").one_of(PROTOCOLS, errors);
    }
}

/// No two containers may take the same port of the node.
fn host_ports<'v>(containers: impl Iterator<Item = Place<'v>>, errors: &mut ErrorList) {
    let mut taken = BTreeSet::new();
    for port in containers.flat_map(|container| container.at("ports").items()) {
        let host_port = port.at("hostPort");
        if host_port.int() == 0 {
            continue;
        }
        let (protocol, ip) = (port.at("protocol").text(), port.at("hostIP").text());
        let used = format!("{protocol}/{ip}/{}", host_port.int());
        if !taken.insert(used.clone()) {
            errors.push(Error::duplicate(&host_port.path, used));
        }
    }
}

fn mounts(container: &Place<'_>, pod: &Pod<'_>, errors: &mut ErrorList) {
    let devices = list(container.value, "volumeDevices");
    let mut paths = BTreeSet::new();
    let all = container.at("volumeMounts");
    for mount in all.items() {
        let (name, path) = (mount.at("name"), mount.at("mountPath"));
        name.must_be_set(errors);
        if !pod.volumes.contains_key(name.text()) {
            name_not_found(&name, errors);
        }
        path.must_be_set(errors);
        if !paths.insert(path.text()) {
            path.invalid("must be unique", errors);
        }
        if devices
            .iter()
            .any(|device| text(device, "name") == name.text())
        {
            name.invalid("must not already exist in volumeDevices", errors);
        }
        if devices
            .iter()
            .any(|device| text(device, "devicePath") == path.text())
        {
            path.invalid("must not already exist as a path in volumeDevices", errors);
        }
        sub_paths(&mount, &all.path, errors);
        propagation(&mount, container, &all.path, errors);
        recursive_read_only(&mount, &all.path, errors);
    }
}

fn name_not_found(name: &Place<'_>, errors: &mut ErrorList) {
    errors.push(Error::not_found(&name.path, name.text()));
}

/// Upstream reports paths of mounts at the list, not at the mount.
fn in_list<'v>(mount: &Place<'v>, list: &Path, name: &'static str) -> Place<'v> {
    Place::new(mount.value.get(name), list.child(name))
}

fn sub_paths(mount: &Place<'_>, list: &Path, errors: &mut ErrorList) {
    in_list(mount, list, "subPath").descending_path(errors);
    let expression = mount.at("subPathExpr");
    if !expression.is_empty() {
        if !mount.at("subPath").is_empty() {
            expression.invalid("subPathExpr and subPath are mutually exclusive", errors);
        }
        in_list(mount, list, "subPathExpr").descending_path(errors);
    }
}

fn propagation(mount: &Place<'_>, container: &Place<'_>, list: &Path, errors: &mut ErrorList) {
    let mode = in_list(mount, list, "mountPropagation");
    mode.optional_one_of(&["Bidirectional", "HostToContainer", "None"], errors);
    if mode.text() == "Bidirectional" && !container.at("securityContext.privileged").flag() {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        mode.forbidden(detail, errors);
    }
}

fn recursive_read_only(mount: &Place<'_>, list: &Path, errors: &mut ErrorList) {
    let mode = in_list(mount, list, "recursiveReadOnly");
    match mode.text() {
        "Enabled" | "IfPossible" => {
            if !mount.at("readOnly").flag() {
                mode.forbidden("may only be specified when readOnly is true", errors);
            }
            if !matches!(mount.at("mountPropagation").text(), "" | "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                mode.forbidden(detail, errors);
            }
        }
        _ => mode.optional_one_of(&["Disabled", "Enabled", "IfPossible"], errors),
    }
}

fn devices(container: &Place<'_>, pod: &Pod<'_>, errors: &mut ErrorList) {
    let mounts = list(container.value, "volumeMounts");
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for device in container.at("volumeDevices").items() {
        let (name, path) = (device.at("name"), device.at("devicePath"));
        name.must_be_set(errors);
        if !name.is_empty() && !names.insert(name.text()) {
            name.invalid("must be unique", errors);
        }
        match pod.volumes.get(name.text()) {
            Some(volume) if has(volume, "persistentVolumeClaim") || has(volume, "ephemeral") => {}
            Some(_) => name.invalid(
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
                errors,
            ),
            None => name_not_found(&name, errors),
        }
        path.must_be_set(errors);
        if has_backsteps(path.text()) {
            path.invalid("can not contain backsteps ('..')", errors);
        } else if !paths.insert(path.text()) {
            path.invalid("must be unique", errors);
        }
        if mounts
            .iter()
            .any(|mount| text(mount, "name") == name.text())
        {
            name.invalid("must not already exist in volumeMounts", errors);
        }
        if mounts
            .iter()
            .any(|mount| text(mount, "mountPath") == path.text())
        {
            path.invalid("must not already exist as a path in volumeMounts", errors);
        }
    }
}

fn resize_policy(policies: &Place<'_>, spec: &Value, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    // Upstream reports what is wrong with one policy at the whole list.
    for policy in policies.items() {
        let resource = Place::new(policy.value.get("resourceName"), policies.path.clone());
        if !seen.insert(resource.text()) {
            errors.push(Error::duplicate(&policy.path, resource.text()));
        }
        resource.one_of(&["cpu", "memory"], errors);
        let restart = Place::new(policy.value.get("restartPolicy"), policies.path.clone());
        restart.one_of(&["NotRequired", "RestartContainer"], errors);
        if text(spec, "restartPolicy") == "Never" && restart.text() != "NotRequired" {
            restart.invalid(
                "must be 'NotRequired' when pod `restartPolicy` is 'Never'",
                errors,
            );
        }
    }
}

fn restart_policy(container: &Place<'_>, errors: &mut ErrorList) {
    let (policy, rules) = (
        container.at("restartPolicy"),
        container.at("restartPolicyRules"),
    );
    if policy.is_set() {
        policy.supported(&["Always", "Never", "OnFailure"], errors);
    } else if !rules.is_empty() {
        policy.required(
            "must specify restartPolicy when restart rules are used",
            errors,
        );
    }
    if rules.len() > RESTART_RULES_MAX {
        errors.push(Error::too_many(&rules.path, rules.len(), RESTART_RULES_MAX));
    }
    for rule in rules.items() {
        rule.at("action")
            .supported(&["Restart", "RestartAllContainers"], errors);
        let codes = rule.at("exitCodes");
        if !codes.is_set() {
            codes.required("must be specified", errors);
            continue;
        }
        codes.at("operator").supported(&["In", "NotIn"], errors);
        let values = codes.at("values");
        if values.len() > EXIT_CODES_MAX {
            errors.push(Error::too_many(&values.path, values.len(), EXIT_CODES_MAX));
        }
    }
}
