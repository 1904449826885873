//! What to start and what to end, for a pod that shall run.

use k8s_openapi::api::core::v1::{Container, Pod};

use super::init::plan_init;
use super::policy::{Policy, should_restart};
use crate::labels;
use crate::observed::{Observed, SeenContainer, State};
use crate::probes::{Verdict, Verdicts};

/// Why a container is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The pod's spec asks for another one.
    Changed,
    Liveness,
    Startup,
    /// The runtime does not know how it is.
    Unknown,
}

/// A container that is to be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    pub id: String,
    pub name: String,
    pub reason: Reason,
    /// For the event about it.
    pub message: String,
}

/// What to do with a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// End all that runs, with the sandbox.
    pub kill_pod: bool,
    /// Make a sandbox, with this number.
    pub create_sandbox: Option<u32>,
    pub kill: Vec<Kill>,
    /// Init containers to start, by their place in the spec,
    pub start_init: Vec<usize>,
    /// and the others.
    pub start: Vec<usize>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Decides. Probes count for containers that run.
pub fn plan(pod: &Pod, seen: &Observed, verdicts: &Verdicts) -> Plan {
    let Some(spec) = &pod.spec else {
        return Plan::default();
    };
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let mut plan = Plan::default();
    if let Some(attempt) = new_sandbox(pod, seen) {
        plan.kill_pod = true;
        anew(pod, seen, attempt, &mut plan);
        return plan;
    }
    let initialized = plan_init(pod, init, seen, verdicts, &mut plan);
    if plan.kill_pod || !initialized {
        return plan;
    }
    let mut kept = 0;
    for (index, container) in spec.containers.iter().enumerate() {
        match seen.latest(&container.name) {
            Some(last) if last.state == State::Running => {
                match trouble(container, last, verdicts) {
                    None => kept += 1,
                    Some(reason) => {
                        let again = reason == Reason::Changed
                            || Policy::of_container(pod, container) != Policy::Never;
                        plan.kill.push(kill(last, reason, again));
                        if again {
                            plan.start.push(index);
                        }
                    }
                }
            }
            last => {
                if should_restart(pod, container, seen) {
                    plan.start.push(index);
                    if let Some(last) = last
                        && last.state == State::Unknown
                    {
                        plan.kill.push(kill(last, Reason::Unknown, true));
                    }
                }
            }
        }
    }
    if kept == 0 && plan.start.is_empty() {
        // Nothing is left to run: sidecars and the sandbox end too.
        plan = Plan {
            kill_pod: true,
            ..Plan::default()
        };
    }
    plan
}

/// What is wrong with a container that runs.
pub(super) fn trouble(
    container: &Container,
    last: &SeenContainer,
    verdicts: &Verdicts,
) -> Option<Reason> {
    if last
        .hash()
        .is_some_and(|hash| hash != labels::hash(container))
    {
        return Some(Reason::Changed);
    }
    if verdicts.liveness(&last.id) == Some(Verdict::Failure) {
        return Some(Reason::Liveness);
    }
    if verdicts.startup(&last.id) == Some(Verdict::Failure) {
        return Some(Reason::Startup);
    }
    None
}

pub(super) fn kill(last: &SeenContainer, reason: Reason, again: bool) -> Kill {
    let name = &last.name;
    let mut message = match reason {
        Reason::Changed => format!("Container {name} definition changed"),
        Reason::Liveness => format!("Container {name} failed liveness probe"),
        Reason::Startup => format!("Container {name} failed startup probe"),
        Reason::Unknown => {
            format!("Container {name} is in an unknown state, try killing it before restart")
        }
    };
    if again && reason != Reason::Unknown {
        message.push_str(", will be restarted");
    }
    Kill {
        id: last.id.clone(),
        name: name.clone(),
        reason,
        message,
    }
}

/// The number of the sandbox to make; `None` if the one that is there will do.
fn new_sandbox(pod: &Pod, seen: &Observed) -> Option<u32> {
    let Some(latest) = seen.sandboxes.first() else {
        return Some(0);
    };
    let next = latest.attempt.wrapping_add(1);
    let up = seen
        .sandboxes
        .iter()
        .filter(|sandbox| sandbox.ready)
        .count();
    let host = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.host_network == Some(true));
    let good =
        up == 1 && latest.ready && latest.host_network == host && (host || !latest.ips.is_empty());
    (!good).then_some(next)
}

/// With a new sandbox: containers that have come to their end stay there.
fn anew(pod: &Pod, seen: &Observed, attempt: u32, plan: &mut Plan) {
    let spec = pod.spec.as_ref().expect("the caller has seen it");
    let init = spec.init_containers.as_deref().unwrap_or_default();
    if Policy::of(pod) == Policy::Never && attempt != 0 && !seen.containers.is_empty() {
        return;
    }
    let on_failure = Policy::of(pod) == Policy::OnFailure;
    let done = |container: &Container| {
        let last = seen.latest(&container.name);
        on_failure && last.is_some_and(SeenContainer::succeeded)
    };
    let start: Vec<usize> = (0..spec.containers.len())
        .filter(|index| !done(&spec.containers[*index]))
        .collect();
    if start.is_empty() {
        return;
    }
    plan.create_sandbox = Some(attempt);
    if init.is_empty() {
        plan.start = start;
    } else {
        plan.start_init = vec![0];
    }
}
