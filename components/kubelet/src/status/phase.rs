//! In which phase of its life a pod is.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, PodSpec};

use crate::decide::is_sidecar;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }

    pub fn named(name: Option<&str>) -> Option<Self> {
        [Self::Pending, Self::Running, Self::Succeeded, Self::Failed]
            .into_iter()
            .find(|phase| Some(phase.name()) == name)
    }
}

/// How many containers are how.
#[derive(Debug, Default)]
struct Counts {
    unknown: usize,
    waiting: usize,
    running: usize,
    stopped: usize,
    succeeded: usize,
}

/// From the states of containers, in the order of the spec. `over`: none of them will run again.
pub(super) fn phase(
    spec: &PodSpec,
    init: &[ContainerStatus],
    mains: &[ContainerStatus],
    over: bool,
) -> Phase {
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let started = mains.iter().any(|status| {
        running(status) || exit_code(status).is_some() || last_exit_code(status).is_some()
    });
    let mut pending = false;
    let mut failed = false;
    for (container, status) in spec.init_containers.iter().flatten().zip(init) {
        match init_state(container, status, started) {
            InitState::Done => {}
            InitState::Pending => pending = true,
            InitState::Failed => failed = true,
        }
    }
    if failed && policy == "Never" {
        return Phase::Failed;
    }
    let mut counts = Counts::default();
    let statuses: Vec<Option<&ContainerStatus>> = spec
        .containers
        .iter()
        .map(|container| mains.iter().find(|status| status.name == container.name))
        .collect();
    for status in statuses {
        counts.add(status);
    }
    if over {
        return match counts.stopped > 0 && counts.stopped == counts.succeeded {
            true if counts.waiting == 0 => Phase::Succeeded,
            _ => Phase::Failed,
        };
    }
    if (pending || failed) && !started {
        return Phase::Pending;
    }
    counts.phase(policy)
}

enum InitState {
    Done,
    Pending,
    Failed,
}

fn init_state(container: &Container, status: &ContainerStatus, started: bool) -> InitState {
    if is_sidecar(container) {
        let up = running(status) && status.started == Some(true);
        return match up || started || exit_code(status).is_some() {
            true => InitState::Done,
            false => InitState::Pending,
        };
    }
    match (exit_code(status), last_exit_code(status)) {
        (Some(0), _) => InitState::Done,
        (Some(_), _) => InitState::Failed,
        // It waits to be tried again.
        (None, Some(code)) if code != 0 && !running(status) => InitState::Failed,
        _ if started => InitState::Done,
        _ => InitState::Pending,
    }
}

impl Counts {
    fn add(&mut self, status: Option<&ContainerStatus>) {
        let Some(status) = status else {
            self.unknown += 1;
            return;
        };
        if running(status) {
            self.running += 1;
        } else if let Some(code) = exit_code(status) {
            self.stopped += 1;
            if code == 0 {
                self.succeeded += 1;
            }
        } else if last_exit_code(status).is_some() {
            self.stopped += 1;
        } else {
            self.waiting += 1;
        }
    }

    fn phase(&self, policy: &str) -> Phase {
        if self.waiting > 0 || self.unknown > 0 {
            return Phase::Pending;
        }
        if self.running > 0 {
            return Phase::Running;
        }
        match policy {
            _ if self.stopped == 0 => Phase::Pending,
            "Always" => Phase::Running,
            _ if self.stopped == self.succeeded => Phase::Succeeded,
            "Never" => Phase::Failed,
            _ => Phase::Running,
        }
    }
}

fn running(status: &ContainerStatus) -> bool {
    status
        .state
        .as_ref()
        .is_some_and(|state| state.running.is_some())
}

fn exit_code(status: &ContainerStatus) -> Option<i32> {
    let ended = status.state.as_ref()?.terminated.as_ref()?;
    Some(ended.exit_code)
}

fn last_exit_code(status: &ContainerStatus) -> Option<i32> {
    let ended = status.last_state.as_ref()?.terminated.as_ref()?;
    Some(ended.exit_code)
}
