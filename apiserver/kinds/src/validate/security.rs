//! Security contexts of pods and containers.

use super::place::Place;
use crate::value::{at, flag, text};
use mainstay_machinery::field::{Error, ErrorList};
use mainstay_machinery::validate::user_or_group_id;
use serde_json::Value;
use std::collections::BTreeSet;

const SYSCTL_BYTES_MAX: usize = 253;
const SYSCTL_REGEX: &str =
    "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
/// One less than Linux' longest path.
const APPARMOR_PROFILE_BYTES_MAX: usize = 4095;

/// Users and groups are numbers of 31 bits.
fn ids(context: &Place<'_>, names: &[&'static str], errors: &mut ErrorList) {
    for name in names {
        let id = context.at(name);
        if let Some(number) = id.number() {
            id.messages(user_or_group_id(number), errors);
        }
    }
}

pub(super) fn of_container(context: &Place<'_>, spec: &Value, errors: &mut ErrorList) {
    if !context.is_set() {
        return;
    }
    ids(context, &["runAsUser", "runAsGroup"], errors);
    let mount = context.at("procMount");
    mount.optional_one_of(&["Default", "Unmasked"], errors);
    let host_users = at(spec, "hostUsers")
        .and_then(Value::as_bool)
        .unwrap_or(true);
    if host_users && mount.text() == "Unmasked" {
        mount.invalid("`hostUsers` must be false to use `Unmasked`", errors);
    }
    seccomp(&context.at("seccompProfile"), errors);
    if context.at("allowPrivilegeEscalation").value == false {
        if context.at("privileged").flag() {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            context.invalid(detail, errors);
        }
        if context
            .at("capabilities.add")
            .items()
            .any(|added| added.text() == "CAP_SYS_ADMIN")
        {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            context.invalid(detail, errors);
        }
    }
    app_armor(&context.at("appArmorProfile"), errors);
}

pub(super) fn of_pod(spec: &Place<'_>, errors: &mut ErrorList) {
    let context = spec.at("securityContext");
    if !context.is_set() {
        return;
    }
    ids(&context, &["fsGroup", "runAsUser", "runAsGroup"], errors);
    for group in context.at("supplementalGroups").items() {
        group.messages(user_or_group_id(group.int()), errors);
    }
    let shared = spec.at("shareProcessNamespace");
    if shared.flag() && spec.at("hostPID").flag() {
        let path = context.path.child("shareProcessNamespace");
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(Error::invalid(&path, true, detail));
    }
    sysctls(&context.at("sysctls"), spec.value, errors);
    context
        .at("fsGroupChangePolicy")
        .optional_one_of(&["Always", "OnRootMismatch"], errors);
    seccomp(&context.at("seccompProfile"), errors);
    app_armor(&context.at("appArmorProfile"), errors);
    context
        .at("supplementalGroupsPolicy")
        .optional_one_of(&["Merge", "Strict"], errors);
    context
        .at("seLinuxChangePolicy")
        .optional_one_of(&["MountOption", "Recursive"], errors);
}

fn is_sysctl(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let part_fits = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().copied().is_some_and(inner)
            && bytes.last().copied().is_some_and(inner)
            && bytes.iter().all(|b| inner(*b) || b"-_".contains(b))
    };
    name.len() <= SYSCTL_BYTES_MAX && name.split(['.', '/']).all(part_fits)
}

/// What of the kernel's settings belongs to a namespace of its own.
fn sysctl_namespace(name: &str) -> &'static str {
    let name = name.replace('/', ".");
    if name.starts_with("net.") {
        "net"
    } else if ["kernel.shm", "kernel.msg", "fs.mqueue."]
        .iter()
        .any(|p| name.starts_with(p))
        || name == "kernel.sem"
    {
        "ipc"
    } else {
        ""
    }
}

fn sysctls(sysctls: &Place<'_>, spec: &Value, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for sysctl in sysctls.items() {
        let name = sysctl.at("name");
        if name.is_empty() {
            name.required("", errors);
        } else if !is_sysctl(name.text()) {
            let detail = format!(
                "must have at most {SYSCTL_BYTES_MAX} characters and match regex {SYSCTL_REGEX}"
            );
            name.invalid(detail, errors);
        } else if !seen.insert(name.text()) {
            name.duplicate(errors);
        }
        match sysctl_namespace(name.text()) {
            "net" if flag(spec, "hostNetwork") => {
                name.invalid("may not be specified when 'hostNetwork' is true", errors);
            }
            "ipc" if flag(spec, "hostIPC") => {
                name.invalid("may not be specified when 'hostIPC' is true", errors);
            }
            _ => {}
        }
    }
}

fn seccomp(profile: &Place<'_>, errors: &mut ErrorList) {
    if !profile.is_set() {
        return;
    }
    let kind = profile.at("type");
    if kind.is_empty() {
        kind.required("type is required when seccompProfile is set", errors);
    } else {
        kind.supported(&["Localhost", "RuntimeDefault", "Unconfined"], errors);
    }
    let local = profile.at("localhostProfile");
    if kind.text() != "Localhost" {
        if local.is_set() {
            let detail = "can only be set when seccomp type is Localhost";
            errors.push(Error::invalid(&local.path, profile.value.clone(), detail));
        }
    } else if local.is_set() {
        local.descending_path(errors);
    } else {
        local.required("must be set when seccomp type is Localhost", errors);
    }
}

fn app_armor(profile: &Place<'_>, errors: &mut ErrorList) {
    if !profile.is_set() {
        return;
    }
    let (kind, local) = (profile.at("type"), profile.at("localhostProfile"));
    match text(profile.value, "type") {
        "Localhost" if local.text().trim().is_empty() && local.text().is_empty() => {
            local.required("must be set when AppArmor type is Localhost", errors);
        }
        "Localhost" => {
            if local.text().trim() != local.text() {
                local.invalid("must not be padded with whitespace", errors);
            }
            if local.text().len() > APPARMOR_PROFILE_BYTES_MAX {
                errors.push(Error::too_long(&local.path, APPARMOR_PROFILE_BYTES_MAX));
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if local.is_set() {
                local.invalid("can only be set when AppArmor type is Localhost", errors);
            }
        }
        "" => kind.required("type is required when appArmorProfile is set", errors),
        _ => kind.supported(&["Localhost", "RuntimeDefault", "Unconfined"], errors),
    }
}
