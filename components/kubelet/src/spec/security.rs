//! Security contexts: who a container runs as and what it may.

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Capabilities, Container, Pod, PodSecurityContext, PodSpec, SELinuxOptions,
    SeccompProfile, SecurityContext,
};
use mainstay_cri::{
    Capability, Int64Value, LinuxContainerSecurityContext, LinuxSandboxSecurityContext,
    NamespaceMode, NamespaceOption, ProfileType, SELinuxOption, SecurityProfile,
    SupplementalGroupsPolicy,
};

use super::error::{ConfigError, pod_words};
use super::node_facts::NodeFacts;
use super::qos::containers;

/// Who an image says its containers run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageUser {
    Uid(i64),
    Name(String),
}

/// What cannot be seen in a container unless its `procMount` is `Unmasked`; beside it, each CPU's thermal throttling.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// What cannot be written.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// A container's own context with what it has from its pod.
fn effective(spec: &PodSpec, container: &Container) -> SecurityContext {
    let mut own = container.security_context.clone().unwrap_or_default();
    if let Some(pod) = &spec.security_context {
        own.se_linux_options = own
            .se_linux_options
            .or_else(|| pod.se_linux_options.clone());
        own.run_as_user = own.run_as_user.or(pod.run_as_user);
        own.run_as_group = own.run_as_group.or(pod.run_as_group);
        own.run_as_non_root = own.run_as_non_root.or(pod.run_as_non_root);
        own.seccomp_profile = own.seccomp_profile.or_else(|| pod.seccomp_profile.clone());
        own.app_armor_profile = own
            .app_armor_profile
            .or_else(|| pod.app_armor_profile.clone());
    }
    own
}

/// Whether `runAsNonRoot` holds.
///
/// # Errors
/// If the container would run as root, or that cannot be told.
pub fn verify_non_root(
    pod: &Pod,
    container: &Container,
    image: &ImageUser,
) -> Result<(), ConfigError> {
    let spec = pod.spec.clone().unwrap_or_default();
    let effective = effective(&spec, container);
    if effective.run_as_non_root != Some(true) {
        return Ok(());
    }
    let which = format!("(pod: {:?}, container: {})", pod_words(pod), container.name);
    let why = match (effective.run_as_user, image) {
        (Some(0), _) => format!("container's runAsUser breaks non-root policy {which}"),
        (Some(_), _) => return Ok(()),
        (None, ImageUser::Name(name)) => format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root {which}"
        ),
        (None, ImageUser::Uid(0)) => {
            format!("container has runAsNonRoot and image will run as root {which}")
        }
        (None, ImageUser::Uid(uid)) if !(0..=i64::from(i32::MAX)).contains(uid) => format!(
            "container has runAsNonRoot and image has an invalid user id ({uid}). (Must be 1-({})) {which}",
            i32::MAX
        ),
        (None, ImageUser::Uid(_)) => return Ok(()),
    };
    Err(ConfigError::new(why))
}

/// A container's context in the runtime's words.
///
/// # Errors
/// If a profile or policy is none.
pub(super) fn container_security(
    pod: &Pod,
    container: &Container,
    image: &ImageUser,
    node: &NodeFacts,
) -> Result<LinuxContainerSecurityContext, ConfigError> {
    let spec = pod.spec.clone().unwrap_or_default();
    let effective = effective(&spec, container);
    let (mut user, mut username) = (effective.run_as_user, String::new());
    if user.is_none() {
        match image {
            ImageUser::Uid(uid) => user = Some(*uid),
            ImageUser::Name(name) => username.clone_from(name),
        }
    }
    let unmasked = effective.proc_mount.as_deref() == Some("Unmasked");
    let (masked_paths, readonly_paths) = match unmasked {
        true => (Vec::new(), Vec::new()),
        false => (masked(node), READ_ONLY.map(str::to_owned).to_vec()),
    };
    let (apparmor, apparmor_profile) = app_armor(effective.app_armor_profile.as_ref())?;
    Ok(LinuxContainerSecurityContext {
        capabilities: effective.capabilities.map(capabilities),
        privileged: effective.privileged == Some(true),
        namespace_options: Some(namespaces(&spec)),
        selinux_options: effective.se_linux_options.map(selinux),
        run_as_user: user.map(|value| Int64Value { value }),
        run_as_username: username,
        readonly_rootfs: effective.read_only_root_filesystem == Some(true),
        supplemental_groups: groups(spec.security_context.as_ref()),
        no_new_privs: effective.allow_privilege_escalation == Some(false),
        run_as_group: effective.run_as_group.map(|value| Int64Value { value }),
        masked_paths,
        readonly_paths,
        seccomp: Some(seccomp(effective.seccomp_profile.as_ref(), node)?),
        apparmor,
        apparmor_profile,
        supplemental_groups_policy: policy(spec.security_context.as_ref())?,
        seccomp_profile_path: String::new(),
    })
}

/// A sandbox's context: of the pod alone, and always with the runtime's seccomp profile, since a sandbox does nothing.
///
/// # Errors
/// If the policy for supplemental groups is none.
pub(super) fn sandbox_security(pod: &Pod) -> Result<LinuxSandboxSecurityContext, ConfigError> {
    let spec = pod.spec.clone().unwrap_or_default();
    let own = spec.security_context.as_ref();
    let privileged = containers(&spec)
        .filter_map(|container| container.security_context.as_ref())
        .any(|context| context.privileged == Some(true));
    let id = |value: Option<i64>| value.map(|value| Int64Value { value });
    Ok(LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(&spec)),
        selinux_options: own
            .and_then(|own| own.se_linux_options.clone())
            .map(selinux),
        run_as_user: id(own.and_then(|own| own.run_as_user)),
        run_as_group: id(own.and_then(|own| own.run_as_group)),
        supplemental_groups: groups(own),
        supplemental_groups_policy: policy(own)?,
        privileged,
        seccomp: Some(profile(ProfileType::RuntimeDefault)),
        ..LinuxSandboxSecurityContext::default()
    })
}

/// Which namespaces a pod has for itself.
#[must_use]
pub fn namespaces(spec: &PodSpec) -> NamespaceOption {
    let mode = |host: Option<bool>| match host {
        Some(true) => NamespaceMode::Node,
        _ => NamespaceMode::Pod,
    };
    let pid = match (spec.host_pid, spec.share_process_namespace) {
        (Some(true), _) => NamespaceMode::Node,
        (_, Some(true)) => NamespaceMode::Pod,
        _ => NamespaceMode::Container,
    };
    NamespaceOption {
        network: mode(spec.host_network).into(),
        ipc: mode(spec.host_ipc).into(),
        pid: pid.into(),
        target_id: String::new(),
        userns_options: None,
    }
}

fn masked(node: &NodeFacts) -> Vec<String> {
    let throttle = |cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle");
    let fixed = MASKED.into_iter().map(str::to_owned);
    fixed
        .chain(node.throttled_cpus.iter().map(throttle))
        .collect()
}

fn capabilities(given: Capabilities) -> Capability {
    Capability {
        add_capabilities: given.add.unwrap_or_default(),
        drop_capabilities: given.drop.unwrap_or_default(),
        add_ambient_capabilities: Vec::new(),
    }
}

fn selinux(given: SELinuxOptions) -> SELinuxOption {
    SELinuxOption {
        user: given.user.unwrap_or_default(),
        role: given.role.unwrap_or_default(),
        r#type: given.type_.unwrap_or_default(),
        level: given.level.unwrap_or_default(),
    }
}

/// The group of the volumes is one of them.
fn groups(pod: Option<&PodSecurityContext>) -> Vec<i64> {
    let Some(pod) = pod else {
        return Vec::new();
    };
    let own = pod.supplemental_groups.iter().flatten();
    pod.fs_group.iter().chain(own).copied().collect()
}

fn policy(pod: Option<&PodSecurityContext>) -> Result<i32, ConfigError> {
    match pod.and_then(|pod| pod.supplemental_groups_policy.as_deref()) {
        None | Some("Merge") => Ok(SupplementalGroupsPolicy::Merge.into()),
        Some("Strict") => Ok(SupplementalGroupsPolicy::Strict.into()),
        Some(other) => {
            let why = format!("unsupported supplementalGroupsPolicy: {other}");
            Err(ConfigError::new(why))
        }
    }
}

fn profile(kind: ProfileType) -> SecurityProfile {
    SecurityProfile {
        profile_type: kind.into(),
        localhost_ref: String::new(),
    }
}

fn localhost(reference: String) -> SecurityProfile {
    SecurityProfile {
        profile_type: ProfileType::Localhost.into(),
        localhost_ref: reference,
    }
}

fn seccomp(
    given: Option<&SeccompProfile>,
    node: &NodeFacts,
) -> Result<SecurityProfile, ConfigError> {
    let Some(given) = given else {
        return Ok(profile(match node.seccomp_default {
            true => ProfileType::RuntimeDefault,
            false => ProfileType::Unconfined,
        }));
    };
    let name = given.localhost_profile.as_deref().unwrap_or_default();
    match given.type_.as_str() {
        "RuntimeDefault" => Ok(profile(ProfileType::RuntimeDefault)),
        "Localhost" if name.is_empty() => Err(ConfigError::new(
            "localhostProfile must be set if seccompProfile type is Localhost.",
        )),
        // The apiserver refuses such names; a pod from a file has not been there.
        "Localhost" if name.starts_with('/') || name.split('/').any(|part| part == "..") => {
            let why =
                format!("localhostProfile {name:?} must be a path below the kubelet's folder");
            Err(ConfigError::new(why))
        }
        "Localhost" => {
            let path = node.seccomp_root().join(name);
            Ok(localhost(path.display().to_string()))
        }
        _ => Ok(profile(ProfileType::Unconfined)),
    }
}

/// The profile, and the same as older runtimes want it.
fn app_armor(
    given: Option<&AppArmorProfile>,
) -> Result<(Option<SecurityProfile>, String), ConfigError> {
    let Some(given) = given else {
        return Ok((None, String::new()));
    };
    let (profile, old) = match (given.type_.as_str(), &given.localhost_profile) {
        ("RuntimeDefault", _) => (
            profile(ProfileType::RuntimeDefault),
            "runtime/default".to_owned(),
        ),
        ("Unconfined", _) => (profile(ProfileType::Unconfined), "unconfined".to_owned()),
        ("Localhost", Some(name)) => (localhost(name.clone()), format!("localhost/{name}")),
        ("Localhost", None) => {
            return Err(ConfigError::new("missing localhost apparmor profile name"));
        }
        (other, _) => {
            let why = format!("unknown apparmor profile type: {other:?}");
            return Err(ConfigError::new(why));
        }
    };
    Ok((Some(profile), old))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{facts, pod};

    fn first(pod: &Pod) -> &Container {
        &pod.spec.as_ref().expect("has one").containers[0]
    }

    #[test]
    fn nobody_who_must_not_be_root_is() {
        let which = "(pod: \"p_ns(u-1)\", container: a)";
        let uid = ImageUser::Uid;
        for (context, image, expected) in [
            ("{}", uid(0), Ok(())),
            ("{runAsNonRoot: true, runAsUser: 5}", uid(0), Ok(())),
            ("{runAsNonRoot: true}", uid(7), Ok(())),
            (
                "{runAsNonRoot: true, runAsUser: 0}",
                uid(7),
                Err("container's runAsUser breaks non-root policy"),
            ),
            (
                "{runAsNonRoot: true}",
                uid(0),
                Err("container has runAsNonRoot and image will run as root"),
            ),
            (
                "{runAsNonRoot: true}",
                ImageUser::Name("www".into()),
                Err(
                    "container has runAsNonRoot and image has non-numeric user (www), cannot verify user is non-root",
                ),
            ),
            (
                "{runAsNonRoot: true}",
                uid(-1),
                Err(
                    "container has runAsNonRoot and image has an invalid user id (-1). (Must be 1-(2147483647))",
                ),
            ),
        ] {
            // The same from the pod's context and from the container's.
            for spec in [
                format!("containers: [{{name: a, securityContext: {context}}}]"),
                format!("securityContext: {context}\ncontainers: [{{name: a}}]"),
            ] {
                let pod = pod(&spec);
                let found = verify_non_root(&pod, first(&pod), &image).map_err(|e| e.to_string());
                assert_eq!(
                    found,
                    expected.map_err(|why| format!("{why} {which}")),
                    "{spec}"
                );
            }
        }
    }

    #[test]
    fn a_containers_context_wins_over_its_pods() {
        let pod = pod(
            "securityContext: {runAsUser: 1, runAsGroup: 2, fsGroup: 3, supplementalGroups: [4, 5], \
             supplementalGroupsPolicy: Strict, seccompProfile: {type: RuntimeDefault}}\n\
             shareProcessNamespace: true\nhostNetwork: true\n\
             containers: [{name: a, securityContext: {runAsUser: 10, readOnlyRootFilesystem: true, \
             allowPrivilegeEscalation: false, capabilities: {add: [NET_ADMIN], drop: [ALL]}, \
             seccompProfile: {type: Localhost, localhostProfile: a/b.json}}}]",
        );
        let made = container_security(&pod, first(&pod), &ImageUser::Uid(99), &facts());
        let made = made.expect("valid");
        assert_eq!(made.run_as_user.map(|id| id.value), Some(10));
        assert_eq!(made.run_as_group.map(|id| id.value), Some(2));
        assert_eq!(made.supplemental_groups, [3, 4, 5]);
        assert_eq!(made.supplemental_groups_policy, 1);
        assert!(made.readonly_rootfs && made.no_new_privs && !made.privileged);
        let seccomp = made.seccomp.expect("always");
        assert_eq!(seccomp.localhost_ref, "/var/lib/kubelet/seccomp/a/b.json");
        let capabilities = made.capabilities.expect("given");
        assert_eq!(capabilities.add_capabilities, ["NET_ADMIN"]);
        assert_eq!(capabilities.drop_capabilities, ["ALL"]);
        let namespaces = made.namespace_options.expect("always");
        assert_eq!(namespaces.network, NamespaceMode::Node as i32);
        assert_eq!(namespaces.pid, NamespaceMode::Pod as i32);
        assert_eq!(namespaces.ipc, NamespaceMode::Pod as i32);
        assert_eq!(made.readonly_paths, READ_ONLY);
        assert_eq!(made.masked_paths.len(), MASKED.len() + 1);
        let sandbox = sandbox_security(&pod).expect("valid");
        assert_eq!(sandbox.run_as_user.map(|id| id.value), Some(1));
        assert_eq!(sandbox.seccomp.map(|s| s.profile_type), Some(0));
    }

    #[test]
    fn an_images_user_counts_where_the_pod_names_none() {
        let pod = pod("containers: [{name: a, securityContext: {procMount: Unmasked}}]");
        let node = facts();
        let made =
            container_security(&pod, first(&pod), &ImageUser::Uid(99), &node).expect("valid");
        assert_eq!(made.run_as_user.map(|id| id.value), Some(99));
        assert!(made.masked_paths.is_empty() && made.readonly_paths.is_empty());
        assert_eq!(made.seccomp.map(|s| s.profile_type), Some(1));
        assert_eq!(
            made.namespace_options.map(|n| n.pid),
            Some(NamespaceMode::Container as i32)
        );
        let name = ImageUser::Name("www".into());
        let made = container_security(&pod, first(&pod), &name, &node).expect("valid");
        assert_eq!(
            (made.run_as_user, made.run_as_username.as_str()),
            (None, "www")
        );
    }

    #[test]
    fn profiles_that_are_none_are_refused() {
        for (context, expected) in [
            (
                "{seccompProfile: {type: Localhost}}",
                "localhostProfile must be set if seccompProfile type is Localhost.",
            ),
            (
                "{seccompProfile: {type: Localhost, localhostProfile: ../../x}}",
                "localhostProfile \"../../x\" must be a path below the kubelet's folder",
            ),
            (
                "{appArmorProfile: {type: Localhost}}",
                "missing localhost apparmor profile name",
            ),
        ] {
            let pod = pod(&format!(
                "containers: [{{name: a, securityContext: {context}}}]"
            ));
            let why = container_security(&pod, first(&pod), &ImageUser::Uid(0), &facts());
            assert_eq!(why.expect_err("refused").to_string(), expected);
        }
    }
}
