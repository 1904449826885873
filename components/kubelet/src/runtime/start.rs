//! Starting one container.

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod, Secret, Service};
use mainstay_cri::{CreateContainerRequest, PodSandboxConfig, StartContainerRequest};

use super::credentials::credentials;
use super::hooks::run_hook;
use super::stop::{Stopping, stop_container};
use crate::context::Context;
use crate::keep::{link_log, link_name};
use crate::limits::{HOOK_DEADLINE, LOG_FILES_LISTED_MAX};
use crate::observed::{Observed, SeenContainer, State};
use crate::spec::{ContainerInput, Environment, EnvironmentSources, container_config};
use crate::status::Failure;
use crate::told::Told;

/// What is started, and in what.
#[derive(Clone, Copy, Debug)]
pub struct Starting<'a> {
    pub pod: &'a Arc<Pod>,
    pub container: &'a Container,
    pub seen: &'a Observed,
    pub sandbox: &'a str,
    pub sandbox_config: &'a PodSandboxConfig,
    pub pod_ips: &'a [String],
}

/// Starts a container. Its hook has run when this is done.
///
/// # Errors
/// The reason for the container to wait.
pub async fn start(context: &Context, starting: Starting<'_>, told: &Told) -> Result<(), Failure> {
    let Starting { pod, container, .. } = starting;
    let name = &container.name;
    let credentials = pull_credentials(context, pod, container).await;
    let image = context
        .images
        .ensure(pod, container, &credentials, starting.sandbox_config, told);
    let image = image.await?;
    let restarts = restarts(context, starting).await;
    let failed = |reason: &str, message: String| {
        told.container_warning(name, "Failed", format!("Error: {message}"));
        Failure {
            reason: reason.to_owned(),
            message,
        }
    };
    let wrong = |message: String| failed("CreateContainerConfigError", message);
    let objects = context
        .volumes
        .objects(pod, container)
        .await
        .map_err(wrong)?;
    let services = services(context, pod);
    let sources = EnvironmentSources {
        node: &context.facts,
        objects: &objects,
        services: &services,
        pod_ips: starting.pod_ips,
    };
    let environment = Environment::of(pod, container, sources);
    let environment = environment.map_err(|error| wrong(error.to_string()))?;
    let mounts = context
        .volumes
        .container_mounts(pod, container, &environment, starting.pod_ips);
    let mounts = mounts.await.map_err(|error| wrong(error.to_string()))?;
    let config = container_config(ContainerInput {
        pod,
        container,
        restarts,
        image: &image.id,
        image_user: &image.user,
        environment,
        mounts,
        devices: Vec::new(),
        node: &context.facts,
    });
    let config = config.map_err(|error| wrong(error.to_string()))?;
    let logs = context.facts.layout.pod_logs(pod).join(name);
    let made = tokio::fs::create_dir_all(&logs).await;
    made.map_err(|error| failed("CreateContainerError", error.to_string()))?;
    let request = CreateContainerRequest {
        pod_sandbox_id: starting.sandbox.to_owned(),
        config: Some(config),
        sandbox_config: Some(starting.sandbox_config.clone()),
    };
    let created = context.runtime.call(request).await;
    let created = created.map_err(|error| failed("CreateContainerError", error.message))?;
    let id = created.container_id;
    told.container_normal(name, "Created", "Container created");
    let request = StartContainerRequest {
        container_id: id.clone(),
    };
    if let Err(error) = context.runtime.call(request).await {
        // Without an answer it may be running: the next look tells.
        return Err(failed("RunContainerError", error.message));
    }
    told.container_normal(name, "Started", "Container started");
    link(context, pod, name, &id, &logs, restarts);
    after_start(context, starting, &id, told).await
}

/// For log collectors. Without it nothing else is wrong.
fn link(context: &Context, pod: &Pod, container: &str, id: &str, logs: &Path, restarts: u32) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (pod, namespace) = (text(&pod.metadata.name), text(&pod.metadata.namespace));
    let name = link_name(&pod, &namespace, container, id);
    let folder = context.facts.layout.log_links();
    let log = logs.join(format!("{restarts}.log"));
    if let Err(error) = link_log(&folder, &name, &log) {
        tracing::warn!("{}: {error}", folder.join(name).display());
    }
}

/// The hook; a container whose hook fails is ended.
async fn after_start(
    context: &Context,
    starting: Starting<'_>,
    id: &str,
    told: &Told,
) -> Result<(), Failure> {
    let Starting { pod, container, .. } = starting;
    let hooks = container.lifecycle.as_ref();
    let Some(hook) = hooks.and_then(|hooks| hooks.post_start.as_ref()) else {
        return Ok(());
    };
    let address = starting.pod_ips.first().map_or("", String::as_str);
    let run = run_hook(
        &context.runtime,
        id,
        container,
        hook,
        address,
        HOOK_DEADLINE,
    );
    let Err(error) = run.await else {
        return Ok(());
    };
    told.container_warning(
        &container.name,
        "FailedPostStartHook",
        format!("PostStartHook failed: {error}"),
    );
    let seen = SeenContainer {
        id: id.to_owned(),
        name: container.name.clone(),
        state: State::Running,
        ..SeenContainer::default()
    };
    let stopping = Stopping {
        pod: Some(pod),
        address,
        grace: None,
        why: "FailedPostStartHook",
    };
    if let Err(error) = stop_container(context, &seen, stopping, Some(told)).await {
        tracing::warn!(container = container.name, "after its hook failed: {error}");
    }
    Err(Failure {
        reason: "PostStartHookError".to_owned(),
        message: error,
    })
}

/// How often it was started before: by what is left of it, else by its logs, which outlive it.
async fn restarts(context: &Context, starting: Starting<'_>) -> u32 {
    let Starting {
        pod,
        container,
        seen,
        ..
    } = starting;
    if let Some(last) = seen.latest(&container.name) {
        return last.restarts().saturating_add(1);
    }
    let folder = context.facts.layout.pod_logs(pod).join(&container.name);
    let Ok(mut files) = tokio::fs::read_dir(folder).await else {
        return 0;
    };
    let mut next = 0;
    for _ in 0..LOG_FILES_LISTED_MAX {
        let Ok(Some(file)) = files.next_entry().await else {
            break;
        };
        let file = file.file_name();
        let number = file
            .to_str()
            .and_then(|file| file.split('.').next()?.parse::<u32>().ok());
        next = next.max(number.map_or(0, |number| number.saturating_add(1)));
    }
    next
}

fn services(context: &Context, pod: &Pod) -> Vec<Arc<Service>> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let mut services = context.services.cache().in_namespace("default");
    if namespace != "default" {
        services.extend(context.services.cache().in_namespace(namespace));
    }
    services
}

/// From the pod's `imagePullSecrets`; one that is not there counts for nothing.
async fn pull_credentials(
    context: &Context,
    pod: &Arc<Pod>,
    container: &Container,
) -> Vec<mainstay_cri::AuthConfig> {
    let names = pod
        .spec
        .iter()
        .flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    let mut secrets: Vec<Arc<Secret>> = Vec::new();
    for reference in names {
        let name = &reference.name;
        match context.volumes.secret(pod, name).await {
            Ok(secret) => secrets.extend(secret),
            Err(error) => tracing::info!(name, "image pull secret: {error}"),
        }
    }
    credentials(container.image.as_deref().unwrap_or_default(), &secrets)
}
