//! Ending containers and pods.

use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod};
use mainstay_cri::{CriError, StopContainerRequest, StopPodSandboxRequest};
use tokio::time::{Instant, timeout};

use super::hooks::run_hook;
use crate::context::Context;
use crate::decide::is_sidecar;
use crate::limits::{GRACE_SECONDS, GRACE_SECONDS_MIN, STOP_MARGIN};
use crate::observed::{Observed, SeenContainer};
use crate::told::Told;

/// Which container to end, and how long it has.
#[derive(Clone, Copy, Debug)]
pub struct Stopping<'a> {
    /// None if the pod is gone: then the container says itself what is needed.
    pub pod: Option<&'a Pod>,
    pub address: &'a str,
    /// Seconds, instead of the pod's.
    pub grace: Option<i64>,
    /// For the event.
    pub why: &'a str,
}

/// Ends a container: its hook, then its signal, then, after its grace, by force.
///
/// # Errors
/// What the runtime said.
pub async fn stop_container(
    context: &Context,
    seen: &SeenContainer,
    stopping: Stopping<'_>,
    told: Option<&Told>,
) -> Result<(), CriError> {
    let spec = stopping.pod.and_then(|pod| {
        let spec = pod.spec.as_ref()?;
        let all = spec
            .init_containers
            .iter()
            .flatten()
            .chain(&spec.containers);
        all.into_iter()
            .find(|container| container.name == seen.name)
    });
    if let Some(told) = told {
        told.container_normal(&seen.name, "Killing", stopping.why);
    }
    let begun = Instant::now();
    let mut grace = grace(seen, stopping);
    if grace > 0
        && let Some(hook) = pre_stop(seen, spec)
    {
        let named = Container {
            name: seen.name.clone(),
            ports: spec.and_then(|spec| spec.ports.clone()),
            ..Container::default()
        };
        let patience = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        let hook = run_hook(
            &context.runtime,
            &seen.id,
            &named,
            &hook,
            stopping.address,
            patience,
        );
        match timeout(patience, hook).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                if let Some(told) = told {
                    let message = format!("PreStopHook failed: {error}");
                    told.container_warning(&seen.name, "FailedPreStopHook", message);
                }
            }
            Err(_) => tracing::info!(container = seen.name, "the preStop hook took all the grace"),
        }
        grace -= i64::try_from(begun.elapsed().as_secs()).unwrap_or(i64::MAX);
    }
    let grace = grace.max(GRACE_SECONDS_MIN);
    let request = StopContainerRequest {
        container_id: seen.id.clone(),
        timeout: grace,
    };
    let patience = Duration::from_secs(u64::try_from(grace).unwrap_or(0)) + STOP_MARGIN;
    match context.runtime.call_within(request, patience).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Seconds that a container has to end.
fn grace(seen: &SeenContainer, stopping: Stopping<'_>) -> i64 {
    let of_pod = |pod: &Pod| {
        let deletion = pod.metadata.deletion_grace_period_seconds;
        deletion.or(pod.spec.as_ref()?.termination_grace_period_seconds)
    };
    stopping
        .grace
        .or_else(|| stopping.pod.and_then(of_pod))
        .or_else(|| seen.grace())
        .unwrap_or(GRACE_SECONDS)
}

fn pre_stop(seen: &SeenContainer, spec: Option<&Container>) -> Option<LifecycleHandler> {
    match spec {
        Some(spec) => spec.lifecycle.as_ref()?.pre_stop.clone(),
        None => serde_json::from_str(seen.pre_stop()?).ok(),
    }
}

/// Ends all containers of a pod: sidecars after the others, the last one first. Then its sandboxes.
///
/// # Errors
/// The first error of the runtime; everything else was tried.
pub async fn stop_pod(
    context: &Context,
    pod: Option<&Pod>,
    seen: &Observed,
    grace: Option<i64>,
    told: Option<&Told>,
) -> Result<(), CriError> {
    let begun = Instant::now();
    let address = seen.ips().first().cloned().unwrap_or_default();
    let init = pod.and_then(|pod| pod.spec.as_ref()?.init_containers.as_ref());
    let sidecars: Vec<&str> = init
        .into_iter()
        .flatten()
        .filter(|container| is_sidecar(container))
        .map(|container| container.name.as_str())
        .collect();
    let (late, early): (Vec<_>, Vec<_>) = seen
        .living()
        .partition(|living| sidecars.contains(&living.name.as_str()));
    let whys: Vec<String> = early
        .iter()
        .map(|living| format!("Stopping container {}", living.name))
        .collect();
    let ends = early.iter().zip(&whys).map(|(living, why)| {
        let stopping = Stopping {
            pod,
            address: &address,
            grace,
            why,
        };
        stop_container(context, living, stopping, told)
    });
    let mut result = join_all(ends).await.into_iter().collect::<Result<(), _>>();
    for name in sidecars.iter().rev() {
        for living in late.iter().filter(|living| living.name == *name) {
            let given = self::grace(
                living,
                Stopping {
                    pod,
                    address: &address,
                    grace,
                    why: "",
                },
            );
            let passed = i64::try_from(begun.elapsed().as_secs()).unwrap_or(i64::MAX);
            let stopping = Stopping {
                pod,
                address: &address,
                grace: Some((given - passed).max(0)),
                why: &format!("Stopping container {}", living.name),
            };
            result = result.and(stop_container(context, living, stopping, told).await);
        }
    }
    for sandbox in &seen.sandboxes {
        if !sandbox.ready {
            continue;
        }
        let request = StopPodSandboxRequest {
            pod_sandbox_id: sandbox.id.clone(),
        };
        match context.runtime.call(request).await {
            Err(error) if !error.is_not_found() => result = result.and(Err(error)),
            _ => {}
        }
    }
    result
}
