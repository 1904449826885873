//! Sandboxes.

use k8s_openapi::api::core::v1::Pod;
use mainstay_cri::{PodSandboxConfig, RunPodSandboxRequest};

use crate::context::Context;
use crate::limits::SANDBOX_DEADLINE;
use crate::spec::sandbox_config;
use crate::told::Told;

/// Makes a pod's `attempt`-th sandbox; its id and what it was made from.
///
/// # Errors
/// Why it could not be made; an event says the same.
pub async fn run_sandbox(
    context: &Context,
    pod: &Pod,
    attempt: u32,
    cgroup_parent: &str,
    told: &Told,
) -> Result<(String, PodSandboxConfig), String> {
    let failed = |error: String| {
        told.warning(
            "FailedCreatePodSandBox",
            format!("Failed to create pod sandbox: {error}"),
        );
        error
    };
    let config = config(context, pod, attempt, cgroup_parent).map_err(failed)?;
    let logs = tokio::fs::create_dir_all(&config.log_directory).await;
    logs.map_err(|error| failed(format!("{}: {error}", config.log_directory)))?;
    let spec = pod.spec.as_ref();
    let request = RunPodSandboxRequest {
        config: Some(config.clone()),
        runtime_handler: spec
            .and_then(|spec| spec.runtime_class_name.clone())
            .unwrap_or_default(),
    };
    let answer = context.runtime.call_within(request, SANDBOX_DEADLINE).await;
    let answer = answer.map_err(|error| failed(error.message))?;
    Ok((answer.pod_sandbox_id, config))
}

/// What a sandbox was, or would be, made from.
pub(super) fn config(
    context: &Context,
    pod: &Pod,
    attempt: u32,
    cgroup_parent: &str,
) -> Result<PodSandboxConfig, String> {
    sandbox_config(pod, attempt, cgroup_parent, &context.facts).map_err(|error| error.to_string())
}
