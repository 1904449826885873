//! The checks by level and version.

use serde_json::Value;

use super::level::{Level, LevelVersion, Version};
use super::pod::Pod;
use super::{baseline, restricted};

/// The newest version whose rules are known; a newer one asked for means this.
const LATEST_MINOR: u32 = 36;

/// What a pod does that its level does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// In short, such as `hostPath volumes`.
    pub reason: &'static str,
    /// In detail, such as `volume "data"`.
    pub detail: String,
}

impl Violation {
    /// `reason (detail)`.
    pub fn describe(&self) -> String {
        if self.detail.is_empty() {
            self.reason.to_owned()
        } else {
            format!("{} ({})", self.reason, self.detail)
        }
    }
}

type CheckFn = fn(Pod<'_>) -> Option<Violation>;

/// One check: from which version on which function counts, and which check of the level below it replaces.
struct Check {
    id: &'static str,
    versions: &'static [(u32, CheckFn)],
    replaces: &'static str,
}

impl Check {
    fn at(&self, minor: u32) -> Option<CheckFn> {
        self.versions
            .iter()
            .rev()
            .find(|(since, _)| *since <= minor)
            .map(|(_, check)| *check)
    }
}

const fn check(id: &'static str, versions: &'static [(u32, CheckFn)]) -> Check {
    Check {
        id,
        versions,
        replaces: "",
    }
}

/// In the order of upstream's messages: by id.
const BASELINE: [Check; 12] = [
    check("appArmorProfile", &[(0, baseline::app_armor)]),
    check("capabilities_baseline", &[(0, baseline::capabilities)]),
    check("hostNamespaces", &[(0, baseline::host_namespaces)]),
    check("hostPathVolumes", &[(0, baseline::host_path_volumes)]),
    check("hostPorts", &[(0, baseline::host_ports)]),
    check("hostProbesAndHostLifecycle", &[(34, baseline::probe_hosts)]),
    check("privileged", &[(0, baseline::privileged)]),
    check(
        "procMount",
        &[(0, baseline::proc_mount), (35, baseline::proc_mount_1_35)],
    ),
    check(
        "seLinuxOptions",
        &[(0, baseline::se_linux), (31, baseline::se_linux_1_31)],
    ),
    check(
        "seccompProfile_baseline",
        &[(0, baseline::seccomp_annotations), (19, baseline::seccomp)],
    ),
    check(
        "sysctls",
        &[
            (0, baseline::sysctls),
            (27, baseline::sysctls_1_27),
            (29, baseline::sysctls_1_29),
            (32, baseline::sysctls_1_32),
        ],
    ),
    check("windowsHostProcess", &[(0, baseline::windows_host_process)]),
];

const RESTRICTED: [Check; 7] = [
    check(
        "allowPrivilegeEscalation",
        &[
            (8, restricted::privilege_escalation),
            (25, restricted::privilege_escalation_1_25),
        ],
    ),
    Check {
        replaces: "capabilities_baseline",
        ..check(
            "capabilities_restricted",
            &[
                (22, restricted::capabilities),
                (25, restricted::capabilities_1_25),
            ],
        )
    },
    Check {
        replaces: "procMount",
        ..check("procMount_restricted", &[(35, baseline::proc_mount)])
    },
    Check {
        replaces: "hostPathVolumes",
        ..check("restrictedVolumes", &[(0, restricted::volumes)])
    },
    check(
        "runAsNonRoot",
        &[
            (0, restricted::run_as_non_root),
            (35, restricted::run_as_non_root_1_35),
        ],
    ),
    check(
        "runAsUser",
        &[
            (23, restricted::run_as_user),
            (35, restricted::run_as_user_1_35),
        ],
    ),
    Check {
        replaces: "seccompProfile_baseline",
        ..check(
            "seccompProfile_restricted",
            &[(19, restricted::seccomp), (25, restricted::seccomp_1_25)],
        )
    },
];

/// What the pod (its metadata and spec) does beyond the level.
pub fn evaluate(level: LevelVersion, metadata: &Value, spec: &Value) -> Vec<Violation> {
    let minor = match level.version {
        Version::Minor(minor) => minor.min(LATEST_MINOR),
        Version::Latest => LATEST_MINOR,
    };
    let stricter: &[Check] = if level.level == Level::Restricted {
        &RESTRICTED
    } else {
        &[]
    };
    let checks: &[Check] = if level.level == Level::Privileged {
        &[]
    } else {
        &BASELINE
    };
    let replaced = |id: &str| {
        stricter
            .iter()
            .any(|own| own.replaces == id && own.at(minor).is_some())
    };
    let pod = Pod { metadata, spec };
    checks
        .iter()
        .filter(|own| !replaced(own.id))
        .chain(stricter)
        .filter_map(|own| own.at(minor))
        .filter_map(|check| check(pod))
        .collect()
}
