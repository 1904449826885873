//! Whether what ended is started again.

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::observed::{Observed, SeenContainer, State};

/// When containers of a pod are started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Always,
    OnFailure,
    Never,
}

impl Policy {
    /// Of a pod; one that names none is always restarted.
    pub fn of(pod: &Pod) -> Self {
        let spec = pod.spec.as_ref();
        Self::named(spec.and_then(|spec| spec.restart_policy.as_deref()))
    }

    /// Of one container of a pod, which may have its own.
    pub fn of_container(pod: &Pod, container: &Container) -> Self {
        match &container.restart_policy {
            Some(name) => Self::named(Some(name)),
            None => Self::of(pod),
        }
    }

    fn named(name: Option<&str>) -> Self {
        match name {
            Some("OnFailure") => Self::OnFailure,
            Some("Never") => Self::Never,
            _ => Self::Always,
        }
    }

    /// Whether one that ended is started again.
    pub fn restarts(self, ended: &SeenContainer) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => ended.exit_code != 0 || ended.condemned,
            Self::Never => false,
        }
    }
}

/// An init container that runs beside the others: one with restart policy Always.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Whether a container is to be started, by what was seen of it.
pub fn should_restart(pod: &Pod, container: &Container, seen: &Observed) -> bool {
    if pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    match seen.latest(&container.name) {
        None => true,
        Some(last) => match last.state {
            State::Running => false,
            State::Unknown | State::Created => true,
            State::Exited => restarts(pod, container, last),
        },
    }
}

/// Rules of the container count before its policy.
fn restarts(pod: &Pod, container: &Container, ended: &SeenContainer) -> bool {
    for rule in container.restart_policy_rules.iter().flatten() {
        let Some(codes) = &rule.exit_codes else {
            continue;
        };
        let listed = codes
            .values
            .iter()
            .flatten()
            .any(|code| *code == ended.exit_code);
        let matches = match codes.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        };
        if matches && rule.action == "Restart" {
            return true;
        }
    }
    Policy::of_container(pod, container).restarts(ended)
}
