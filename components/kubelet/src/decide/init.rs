//! Init containers: one after another, but sidecars stay.

use k8s_openapi::api::core::v1::{Container, Pod};

use super::actions::{Plan, Reason, kill, trouble};
use super::policy::{Policy, is_sidecar};
use crate::observed::{Observed, SeenContainer, State};
use crate::probes::{Verdict, Verdicts};

/// Adds what init containers need; whether the others may run.
///
/// Those that are done may have been removed, so the last one of which there is a trace tells how far the pod is; before
/// that one only sidecars matter.
pub(super) fn plan_init(
    pod: &Pod,
    init: &[Container],
    seen: &Observed,
    verdicts: &Verdicts,
    plan: &mut Plan,
) -> bool {
    if init.is_empty() {
        return true;
    }
    let mains = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut initialized = mains
        .filter_map(|container| seen.latest(&container.name))
        .any(|last| last.state != State::Unknown);
    let mut behind = initialized;
    for (index, container) in init.iter().enumerate().rev() {
        let sidecar = is_sidecar(container);
        let Some(last) = seen.latest(&container.name) else {
            if behind && sidecar {
                plan.start_init.push(index);
            }
            continue;
        };
        if behind && !sidecar {
            continue;
        }
        let step = match sidecar {
            true => sidecar_step(container, last, verdicts),
            false => step(pod, last),
        };
        match step {
            Step::Wait => {}
            Step::Next => {
                if !behind {
                    match index + 1 == init.len() {
                        true => initialized = true,
                        false => plan.start_init.push(index + 1),
                    }
                }
            }
            Step::Start => plan.start_init.push(index),
            Step::Replace { reason, next } => {
                if next && !behind {
                    initialized = index + 1 == init.len();
                }
                plan.kill.push(kill(last, reason, true));
                plan.start_init.push(index);
            }
            Step::GiveUp => {
                *plan = Plan {
                    kill_pod: true,
                    ..Plan::default()
                };
                return false;
            }
        }
        behind = true;
    }
    if !behind {
        plan.start_init.push(0);
    }
    plan.start_init.reverse();
    initialized
}

/// What one init container means for its pod.
enum Step {
    /// It is on its way.
    Wait,
    /// It is where the next one may start.
    Next,
    Start,
    /// End it and start it again. `next`: it had been where the next one may start.
    Replace {
        reason: Reason,
        next: bool,
    },
    /// The pod has failed.
    GiveUp,
}

fn step(pod: &Pod, last: &SeenContainer) -> Step {
    match last.state {
        // The runtime failed between making and starting it.
        State::Created => Step::Start,
        State::Running => Step::Wait,
        State::Exited if last.exit_code == 0 => Step::Next,
        State::Exited if Policy::of(pod) == Policy::Never => Step::GiveUp,
        State::Exited => Step::Start,
        State::Unknown if Policy::of(pod) == Policy::Never => Step::GiveUp,
        State::Unknown => Step::Replace {
            reason: Reason::Unknown,
            next: false,
        },
    }
}

fn sidecar_step(container: &Container, last: &SeenContainer, verdicts: &Verdicts) -> Step {
    match last.state {
        State::Created | State::Exited => Step::Start,
        State::Unknown => Step::Replace {
            reason: Reason::Unknown,
            next: false,
        },
        State::Running => {
            let started = container.startup_probe.is_none()
                || verdicts.startup(&last.id) == Some(Verdict::Success);
            match trouble(container, last, verdicts) {
                Some(reason) => Step::Replace {
                    reason,
                    next: started,
                },
                None if started => Step::Next,
                None => Step::Wait,
            }
        }
    }
}
