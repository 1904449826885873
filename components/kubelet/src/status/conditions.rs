//! A pod's conditions.

use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};

use super::phase::Phase;
use super::pod::{Facts, is_initialized};
use super::times::seconds;
use crate::decide::is_sidecar;

/// What a condition says.
struct Said {
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Said {
    fn yes() -> Self {
        Self {
            holds: true,
            reason: None,
            message: None,
        }
    }

    fn no(reason: &'static str) -> Self {
        Self {
            holds: false,
            reason: Some(reason),
            message: None,
        }
    }
}

/// The kubelet's own, and those that others have set.
pub(super) fn conditions(
    facts: Facts<'_>,
    phase: Phase,
    init: &[ContainerStatus],
    mains: &[ContainerStatus],
) -> Vec<PodCondition> {
    let spec = facts.pod.spec.as_ref();
    let host = spec.is_some_and(|spec| spec.host_network == Some(true));
    let up = facts
        .seen
        .sandboxes
        .first()
        .is_some_and(|sandbox| sandbox.ready && (host || !sandbox.ips.is_empty()));
    let sandbox = Said {
        holds: up,
        reason: None,
        message: None,
    };
    let own = [
        ("PodReadyToStartContainers", sandbox),
        ("Initialized", initialized(facts, phase, init)),
        ("Ready", ready(facts, phase, init, mains)),
        (
            "ContainersReady",
            containers_ready(facts, phase, init, mains),
        ),
        ("PodScheduled", Said::yes()),
    ];
    let old = facts.old.conditions.iter().flatten();
    let mut all: Vec<PodCondition> = own
        .into_iter()
        .map(|(name, said)| condition(facts, name, said))
        .collect();
    let others: Vec<PodCondition> = old
        .filter(|old| all.iter().all(|condition| condition.type_ != old.type_))
        .cloned()
        .collect();
    all.extend(others);
    all
}

fn condition(facts: Facts<'_>, name: &str, said: Said) -> PodCondition {
    let status = if said.holds { "True" } else { "False" };
    let mut old = facts.old.conditions.iter().flatten();
    let since = old
        .find(|old| old.type_ == name && old.status == status)
        .and_then(|old| old.last_transition_time.clone());
    PodCondition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: said.reason.map(str::to_owned),
        message: said.message,
        last_transition_time: since.or_else(|| Some(seconds(facts.now))),
        observed_generation: facts.pod.metadata.generation,
        ..PodCondition::default()
    }
}

fn initialized(facts: Facts<'_>, phase: Phase, init: &[ContainerStatus]) -> Said {
    if init.is_empty() || is_initialized(facts.pod, init) {
        return match phase {
            Phase::Succeeded if !init.is_empty() => Said {
                reason: Some("PodCompleted"),
                ..Said::yes()
            },
            _ => Said::yes(),
        };
    }
    if phase == Phase::Succeeded {
        return Said {
            reason: Some("PodCompleted"),
            ..Said::yes()
        };
    }
    let spec = facts
        .pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    let waiting: Vec<&str> = spec
        .zip(init)
        .filter(|(container, status)| match is_sidecar(container) {
            true => status.started != Some(true),
            false => !status.ready,
        })
        .map(|(_, status)| status.name.as_str())
        .collect();
    Said {
        message: Some(format!(
            "containers with incomplete status: [{}]",
            waiting.join(" ")
        )),
        ..Said::no("ContainersNotInitialized")
    }
}

fn containers_ready(
    facts: Facts<'_>,
    phase: Phase,
    init: &[ContainerStatus],
    mains: &[ContainerStatus],
) -> Said {
    match phase {
        Phase::Succeeded => return Said::no("PodCompleted"),
        Phase::Failed => return Said::no("PodFailed"),
        Phase::Pending | Phase::Running => {}
    }
    let spec = facts
        .pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecars = spec
        .zip(init)
        .filter(|(container, _)| is_sidecar(container))
        .map(|(_, status)| status);
    let unready: Vec<&str> = sidecars
        .chain(mains)
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect();
    if unready.is_empty() {
        return Said::yes();
    }
    Said {
        message: Some(format!(
            "containers with unready status: [{}]",
            unready.join(" ")
        )),
        ..Said::no("ContainersNotReady")
    }
}

fn ready(
    facts: Facts<'_>,
    phase: Phase,
    init: &[ContainerStatus],
    mains: &[ContainerStatus],
) -> Said {
    let containers = containers_ready(facts, phase, init, mains);
    if !containers.holds {
        return containers;
    }
    let spec = facts.pod.spec.as_ref();
    let gates = spec.and_then(|spec| spec.readiness_gates.as_ref());
    let mut missing = Vec::new();
    for gate in gates.into_iter().flatten() {
        let gate = &gate.condition_type;
        let mut old = facts.old.conditions.iter().flatten();
        match old.find(|old| &old.type_ == gate) {
            None => missing.push(format!(
                "corresponding condition of pod readiness gate {gate:?} does not exist."
            )),
            Some(found) if found.status != "True" => missing.push(format!(
                "the status of pod readiness gate {gate:?} is not \"True\", but {}",
                found.status
            )),
            Some(_) => {}
        }
    }
    if missing.is_empty() {
        return Said::yes();
    }
    Said {
        message: Some(missing.join(", ")),
        ..Said::no("ReadinessGatesNotReady")
    }
}
