//! The states of a pod's containers.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, ContainerUser, LinuxContainerUser,
};

use super::pod::{Facts, is_initialized};
use super::times::time_of_nanos;
use crate::decide::{is_sidecar, should_restart};
use crate::observed::{SeenContainer, State};
use crate::probes::Verdict;

/// Which of a pod's containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Init,
    Main,
}

/// In the order of the spec.
pub(super) fn container_statuses(facts: Facts<'_>, group: Group) -> Vec<ContainerStatus> {
    let Some(spec) = &facts.pod.spec else {
        return Vec::new();
    };
    let init = spec.init_containers.as_deref().unwrap_or_default();
    match group {
        Group::Init => init
            .iter()
            .map(|container| one(facts, container, group, "PodInitializing"))
            .collect(),
        Group::Main => {
            let waiting = match init.is_empty()
                || is_initialized(facts.pod, &container_statuses(facts, Group::Init))
            {
                true => "ContainerCreating",
                false => "PodInitializing",
            };
            spec.containers
                .iter()
                .map(|container| one(facts, container, group, waiting))
                .collect()
        }
    }
}

fn one(facts: Facts<'_>, container: &Container, group: Group, waiting: &str) -> ContainerStatus {
    let old = old_status(facts, container, group);
    let mut seen = facts.seen.of_name(&container.name);
    let mut status = match seen.next() {
        Some(last) => {
            let mut status = of_seen(facts, last);
            keep_words(&mut status, old);
            status.last_state = match seen.next() {
                Some(before) => Some(state(facts, before)),
                // What was removed meanwhile is still known from before.
                None => old.and_then(|old| earlier(old, &status)),
            };
            status
        }
        None => of_unseen(facts, container, old, waiting),
    };
    status.name.clone_from(&container.name);
    if status.image.is_empty() {
        status.image = container.image.clone().unwrap_or_default();
    }
    refuse(facts, container, group, &mut status);
    judge(facts, container, group, &mut status);
    status
}

/// What was said before of the same container.
fn old_status<'a>(
    facts: Facts<'a>,
    container: &Container,
    group: Group,
) -> Option<&'a ContainerStatus> {
    let statuses = match group {
        Group::Init => &facts.old.init_container_statuses,
        Group::Main => &facts.old.container_statuses,
    };
    let mut statuses = statuses.iter().flatten();
    statuses.find(|status| status.name == container.name)
}

/// Last words outlive the file they were in.
fn keep_words(status: &mut ContainerStatus, old: Option<&ContainerStatus>) {
    let Some(old) = old.filter(|old| old.container_id == status.container_id) else {
        return;
    };
    let before = old
        .state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    let now = status
        .state
        .as_mut()
        .and_then(|state| state.terminated.as_mut());
    if let (Some(before), Some(now)) = (before, now)
        && now.message.is_none()
    {
        now.message.clone_from(&before.message);
    }
}

/// The end of the one before, as it was reported, for a container of which only the newest is left.
fn earlier(old: &ContainerStatus, new: &ContainerStatus) -> Option<ContainerState> {
    let same = old.container_id.is_some() && old.container_id == new.container_id;
    let ended =
        |state: &Option<ContainerState>| state.clone().filter(|state| state.terminated.is_some());
    match same {
        true => ended(&old.last_state),
        false => ended(&old.state).or_else(|| ended(&old.last_state)),
    }
}

fn of_seen(facts: Facts<'_>, last: &SeenContainer) -> ContainerStatus {
    ContainerStatus {
        container_id: Some(format!("{}://{}", facts.runtime, last.id)),
        image: last.image.clone(),
        image_id: last.image_ref.clone(),
        restart_count: i32::try_from(last.restarts()).unwrap_or(i32::MAX),
        state: Some(state(facts, last)),
        user: last.user.as_ref().map(|(uid, gid, groups)| ContainerUser {
            linux: Some(LinuxContainerUser {
                uid: *uid,
                gid: *gid,
                supplemental_groups: Some(groups.clone()),
            }),
        }),
        ..ContainerStatus::default()
    }
}

/// Of a container that the runtime does not have.
fn of_unseen(
    facts: Facts<'_>,
    container: &Container,
    old: Option<&ContainerStatus>,
    waiting: &str,
) -> ContainerStatus {
    let mut status = ContainerStatus {
        image: container.image.clone().unwrap_or_default(),
        state: Some(waits(waiting, None)),
        ..ContainerStatus::default()
    };
    let Some(old) = old else {
        return status;
    };
    status.restart_count = old.restart_count;
    status.last_state.clone_from(&old.last_state);
    let Some(before) = &old.state else {
        return status;
    };
    if before.terminated.is_some() {
        status = old.clone();
    } else if before.running.is_some() {
        let lost = ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: 137,
                reason: Some("ContainerStatusUnknown".to_owned()),
                message: Some(match facts.pod.metadata.deletion_timestamp {
                    Some(_) => "The container could not be located when the pod was deleted.  \
                                The container used to be Running"
                        .to_owned(),
                    None => {
                        "The container could not be located when the pod was terminated".to_owned()
                    }
                }),
                container_id: old.container_id.clone(),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        };
        match facts.pod.metadata.deletion_timestamp {
            Some(_) => {
                status = old.clone();
                status.state = Some(lost);
            }
            None => {
                status.restart_count += 1;
                status.last_state = Some(lost);
            }
        }
    }
    status
}

fn state(facts: Facts<'_>, last: &SeenContainer) -> ContainerState {
    match last.state {
        State::Created => waits("ContainerCreating", None),
        State::Running => ContainerState {
            running: Some(ContainerStateRunning {
                started_at: time_of_nanos(last.started_at),
            }),
            ..ContainerState::default()
        },
        State::Exited | State::Unknown => {
            let unknown = last.state == State::Unknown;
            let reason = match (unknown, last.reason.is_empty()) {
                (true, _) => "ContainerStatusUnknown".to_owned(),
                (false, true) if last.exit_code == 0 => "Completed".to_owned(),
                (false, true) => "Error".to_owned(),
                (false, false) => last.reason.clone(),
            };
            ContainerState {
                terminated: Some(ContainerStateTerminated {
                    exit_code: if unknown { 137 } else { last.exit_code },
                    reason: Some(reason),
                    message: (!last.message.is_empty()).then(|| last.message.clone()),
                    started_at: time_of_nanos(last.started_at),
                    finished_at: time_of_nanos(last.finished_at),
                    container_id: Some(format!("{}://{}", facts.runtime, last.id)),
                    signal: None,
                }),
                ..ContainerState::default()
            }
        }
    }
}

fn waits(reason: &str, message: Option<&str>) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message: message.map(str::to_owned),
        }),
        ..ContainerState::default()
    }
}

/// Shows why a container that should run does not.
fn refuse(facts: Facts<'_>, container: &Container, group: Group, status: &mut ContainerStatus) {
    let Some(failure) = facts.failures.get(&container.name) else {
        return;
    };
    let done = facts
        .seen
        .latest(&container.name)
        .is_some_and(SeenContainer::succeeded);
    if group == Group::Init && done && !is_sidecar(container) {
        return;
    }
    if !should_restart(facts.pod, container, facts.seen) {
        return;
    }
    if let Some(state) = status.state.take()
        && state.terminated.is_some()
    {
        status.last_state = Some(state);
    }
    status.state = Some(waits(&failure.reason, Some(&failure.message)));
}

/// What probes say.
fn judge(facts: Facts<'_>, container: &Container, group: Group, status: &mut ContainerStatus) {
    let state = status.state.as_ref();
    if group == Group::Init && !is_sidecar(container) {
        let ended = state.and_then(|state| state.terminated.as_ref());
        status.ready = ended.is_some_and(|ended| ended.exit_code == 0);
        status.started = Some(false);
        return;
    }
    let running = state.is_some_and(|state| state.running.is_some());
    let id = facts
        .seen
        .latest(&container.name)
        .map(|last| last.id.as_str());
    let passed =
        |probe: bool, verdict: Option<Verdict>| !probe || verdict == Some(Verdict::Success);
    let started = running
        && passed(
            container.startup_probe.is_some(),
            id.and_then(|id| facts.verdicts.startup(id)),
        );
    let ready = started
        && passed(
            container.readiness_probe.is_some(),
            id.and_then(|id| facts.verdicts.readiness(id)),
        );
    status.started = Some(started);
    status.ready = ready;
}
