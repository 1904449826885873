//! The checks of the baseline level. Names with a version count from that version on.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check::Violation;
use super::pod::{
    Pod, bad_settings, field, is_true, name_containers, plural, quote, setters, text,
};
use crate::node::list;
use crate::text::quoted;

fn violation(reason: &'static str, detail: String) -> Option<Violation> {
    Some(Violation { reason, detail })
}

const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn app_armor(pod: Pod<'_>) -> Option<Violation> {
    let allowed = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost");
    let (of_pod, containers, values) =
        bad_settings(pod, "/securityContext/appArmorProfile/type", allowed);
    let annotations = pod.metadata.get("annotations").and_then(Value::as_object);
    let mut annotated: Vec<String> = annotations
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(key, value)| {
            let harmless =
                value.is_empty() || *value == "runtime/default" || value.starts_with("localhost/");
            key.starts_with(APP_ARMOR_ANNOTATION) && !harmless
        })
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .collect();
    annotated.sort_unstable();
    let mut who: Vec<String> = setters(of_pod, &containers).into_iter().collect();
    if !annotated.is_empty() {
        who.push(plural("annotation", "annotations", annotated.len()).to_owned());
    }
    if who.is_empty() {
        return None;
    }
    let bad: Vec<String> = values
        .into_iter()
        .map(str::to_owned)
        .chain(annotated)
        .collect();
    violation(
        plural(
            "forbidden AppArmor profile",
            "forbidden AppArmor profiles",
            bad.len(),
        ),
        format!(
            "{} must not set AppArmor profile type to {}",
            who.join(" and "),
            quote(&bad)
        ),
    )
}

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The capabilities in one list (`add` or `drop`) of a container.
pub(super) fn listed_capabilities<'v>(
    container: &'v Value,
    which: &str,
) -> impl Iterator<Item = &'v str> {
    let lists = field(container, "/securityContext/capabilities");
    lists.into_iter().flat_map(move |lists| {
        list(lists, which)
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
    })
}

pub(super) fn capabilities(pod: Pod<'_>) -> Option<Violation> {
    let mut added = BTreeSet::new();
    let containers = pod.containers_where(|container| {
        let bad: Vec<&str> = listed_capabilities(container, "add")
            .filter(|name| !CAPABILITIES.contains(name))
            .collect();
        added.extend(bad.iter().copied());
        !bad.is_empty()
    });
    if containers.is_empty() {
        return None;
    }
    let (who, what) = (name_containers(&containers), quote(&added));
    violation(
        "non-default capabilities",
        format!("{who} must not include {what} in securityContext.capabilities.add"),
    )
}

pub(super) fn host_namespaces(pod: Pod<'_>) -> Option<Violation> {
    let shared: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|name| is_true(pod.spec, &format!("/{name}")))
        .map(|name| format!("{name}=true"))
        .collect();
    if shared.is_empty() {
        None
    } else {
        violation("host namespaces", shared.join(", "))
    }
}

pub(super) fn host_path_volumes(pod: Pod<'_>) -> Option<Violation> {
    let volumes = pod
        .volumes()
        .filter(|volume| field(volume, "/hostPath").is_some());
    let names: Vec<&str> = volumes.map(|volume| text(volume, "/name")).collect();
    if names.is_empty() {
        return None;
    }
    let word = plural("volume", "volumes", names.len());
    violation("hostPath volumes", format!("{word} {}", quote(&names)))
}

pub(super) fn host_ports(pod: Pod<'_>) -> Option<Violation> {
    let mut ports: BTreeSet<String> = BTreeSet::new();
    let containers = pod.containers_where(|container| {
        let used = list(container, "ports").filter_map(|port| field(port, "/hostPort")?.as_i64());
        let used: Vec<String> = used
            .filter(|port| *port != 0)
            .map(|port| port.to_string())
            .collect();
        ports.extend(used.iter().cloned());
        !used.is_empty()
    });
    if containers.is_empty() {
        return None;
    }
    let list: Vec<String> = ports
        .iter()
        .take(crate::limits::LISTED_ITEMS_MAX)
        .cloned()
        .collect();
    violation(
        "hostPort",
        format!(
            "{} {} {} {}",
            name_containers(&containers),
            plural("uses", "use", containers.len()),
            plural("hostPort", "hostPorts", ports.len()),
            list.join(", ")
        ),
    )
}

const HANDLERS: [&str; 5] = [
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle/postStart",
    "lifecycle/preStop",
];

pub(super) fn probe_hosts(pod: Pod<'_>) -> Option<Violation> {
    let mut hosts: BTreeSet<&str> = BTreeSet::new();
    let containers = pod.containers_where(|container| {
        let found = HANDLERS
            .iter()
            .flat_map(|handler| {
                ["httpGet", "tcpSocket"].map(|kind| format!("/{handler}/{kind}/host"))
            })
            .map(|pointer| text(container, &pointer));
        let found: Vec<&str> = found.filter(|host| !host.is_empty()).collect();
        hosts.extend(found.iter().copied());
        !found.is_empty()
    });
    if containers.is_empty() {
        return None;
    }
    let sorted: Vec<&str> = containers
        .into_iter()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    violation(
        "probe or lifecycle host",
        format!(
            "{} {} {} {}",
            name_containers(&sorted),
            plural("uses", "use", sorted.len()),
            plural(
                "probe or lifecycle host",
                "probe or lifecycle hosts",
                hosts.len()
            ),
            quote(&hosts)
        ),
    )
}

pub(super) fn privileged(pod: Pod<'_>) -> Option<Violation> {
    let containers =
        pod.containers_where(|container| is_true(container, "/securityContext/privileged"));
    if containers.is_empty() {
        return None;
    }
    violation(
        "privileged",
        format!(
            "{} must not set securityContext.privileged=true",
            name_containers(&containers)
        ),
    )
}

pub(super) fn proc_mount(pod: Pod<'_>) -> Option<Violation> {
    let mut values = BTreeSet::new();
    let containers = pod.containers_where(|container| {
        let value = field(container, "/securityContext/procMount").and_then(Value::as_str);
        let bad = value.filter(|value| *value != "Default");
        values.extend(bad);
        bad.is_some()
    });
    if containers.is_empty() {
        return None;
    }
    let (who, what) = (name_containers(&containers), quote(&values));
    violation(
        "procMount",
        format!("{who} must not set securityContext.procMount to {what}"),
    )
}

pub(super) fn proc_mount_1_35(pod: Pod<'_>) -> Option<Violation> {
    if pod.has_own_users() {
        None
    } else {
        proc_mount(pod)
    }
}

pub(super) fn se_linux(pod: Pod<'_>) -> Option<Violation> {
    se_linux_types(
        pod,
        &["", "container_t", "container_init_t", "container_kvm_t"],
    )
}

pub(super) fn se_linux_1_31(pod: Pod<'_>) -> Option<Violation> {
    se_linux_types(
        pod,
        &[
            "",
            "container_t",
            "container_init_t",
            "container_kvm_t",
            "container_engine_t",
        ],
    )
}

fn se_linux_types(pod: Pod<'_>, allowed: &[&str]) -> Option<Violation> {
    let (mut types, mut user, mut role) = (BTreeSet::new(), false, false);
    let mut is_bad = |value| {
        let Some(options) = field(value, "/securityContext/seLinuxOptions") else {
            return false;
        };
        let kind = text(options, "/type");
        let bad_kind = !allowed.contains(&kind);
        if bad_kind {
            types.insert(kind);
        }
        let (sets_user, sets_role) = (
            !text(options, "/user").is_empty(),
            !text(options, "/role").is_empty(),
        );
        user |= sets_user;
        role |= sets_role;
        bad_kind || sets_user || sets_role
    };
    let of_pod = is_bad(pod.spec);
    let containers = pod.containers_where(&mut is_bad);
    let who = setters(of_pod, &containers)?;
    let mut what = Vec::new();
    if !types.is_empty() {
        what.push(format!(
            "{} {}",
            plural("type", "types", types.len()),
            quote(&types)
        ));
    }
    what.extend(user.then(|| "user may not be set".to_owned()));
    what.extend(role.then(|| "role may not be set".to_owned()));
    violation(
        "seLinuxOptions",
        format!(
            "{who} set forbidden securityContext.seLinuxOptions: {}",
            what.join("; ")
        ),
    )
}

const SECCOMP_POD_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER_ANNOTATION: &str = "container.seccomp.security.alpha.kubernetes.io/";

pub(super) fn seccomp_annotations(pod: Pod<'_>) -> Option<Violation> {
    let containers = pod
        .containers()
        .map(|c| format!("{SECCOMP_CONTAINER_ANNOTATION}{}", text(c, "/name")));
    let forbidden: BTreeSet<String> = std::iter::once(SECCOMP_POD_ANNOTATION.to_owned())
        .chain(containers)
        .filter_map(|key| pod.annotation(&key).map(|value| (key, value)))
        .filter(|(_, value)| {
            !matches!(*value, "runtime/default" | "docker/default")
                && !value.starts_with("localhost/")
        })
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .collect();
    if forbidden.is_empty() {
        return None;
    }
    let list: Vec<String> = forbidden.iter().cloned().collect();
    let word = plural("annotation", "annotations", list.len());
    violation(
        "seccompProfile",
        format!("forbidden {word} {}", list.join(", ")),
    )
}

pub(super) fn is_safe_seccomp(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

pub(super) fn seccomp(pod: Pod<'_>) -> Option<Violation> {
    let pointer = "/securityContext/seccompProfile/type";
    let (of_pod, containers, values) = bad_settings(pod, pointer, is_safe_seccomp);
    let who = setters(of_pod, &containers)?;
    violation(
        "seccompProfile",
        format!(
            "{who} must not set securityContext.seccompProfile.type to {}",
            quote(&values)
        ),
    )
}

/// Each version adds to what the one before allows; the number says how many of the list count.
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

pub(super) fn sysctls(pod: Pod<'_>) -> Option<Violation> {
    sysctls_beyond(pod, &SYSCTLS[..5])
}

pub(super) fn sysctls_1_27(pod: Pod<'_>) -> Option<Violation> {
    sysctls_beyond(pod, &SYSCTLS[..6])
}

pub(super) fn sysctls_1_29(pod: Pod<'_>) -> Option<Violation> {
    sysctls_beyond(pod, &SYSCTLS[..10])
}

pub(super) fn sysctls_1_32(pod: Pod<'_>) -> Option<Violation> {
    sysctls_beyond(pod, &SYSCTLS)
}

fn sysctls_beyond(pod: Pod<'_>, allowed: &[&str]) -> Option<Violation> {
    let context = field(pod.spec, "/securityContext")?;
    let names = list(context, "sysctls").map(|sysctl| text(sysctl, "/name"));
    let bad: Vec<&str> = names
        .filter(|name| !allowed.contains(name))
        .take(crate::limits::LISTED_ITEMS_MAX)
        .collect();
    if bad.is_empty() {
        None
    } else {
        violation("forbidden sysctls", bad.join(", "))
    }
}

pub(super) fn windows_host_process(pod: Pod<'_>) -> Option<Violation> {
    let is_host = |value: &Value| is_true(value, "/securityContext/windowsOptions/hostProcess");
    let who = setters(is_host(pod.spec), &pod.containers_where(is_host))?;
    violation(
        "hostProcess",
        format!("{who} must not set securityContext.windowsOptions.hostProcess=true"),
    )
}
