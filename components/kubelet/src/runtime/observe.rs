//! What the runtime has of one pod.

use std::collections::BTreeMap;

use mainstay_cri::{
    ContainerFilter, ContainerState, ContainerStatusRequest, CriError, ListContainersRequest,
    ListPodSandboxRequest, NamespaceMode, PodSandboxFilter, PodSandboxState,
    PodSandboxStatusRequest, Runtime,
};

use super::message::last_words;
use crate::labels::{CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID};
use crate::observed::{Observed, SeenContainer, SeenSandbox, State};

/// Looks at everything of a pod.
///
/// # Errors
/// If the runtime cannot say: then nothing is known.
pub async fn observe(runtime: &Runtime, uid: &str) -> Result<Observed, CriError> {
    let selector = BTreeMap::from([(POD_UID.to_owned(), uid.to_owned())]);
    let mut seen = Observed {
        uid: uid.to_owned(),
        ..Observed::default()
    };
    let sandboxes = runtime.call(ListPodSandboxRequest {
        filter: Some(PodSandboxFilter {
            label_selector: selector.clone(),
            ..PodSandboxFilter::default()
        }),
    });
    for sandbox in sandboxes.await?.items {
        let label = |key: &str| sandbox.labels.get(key).cloned().unwrap_or_default();
        seen.name = label(POD_NAME);
        seen.namespace = label(POD_NAMESPACE);
        match look_at_sandbox(runtime, &sandbox.id).await {
            Ok(sandbox) => seen.sandboxes.push(sandbox),
            // It went away between two questions.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    let containers = runtime.call(ListContainersRequest {
        filter: Some(ContainerFilter {
            label_selector: selector,
            ..ContainerFilter::default()
        }),
    });
    for container in containers.await?.containers {
        let label = |key: &str| container.labels.get(key).cloned().unwrap_or_default();
        seen.name = label(POD_NAME);
        seen.namespace = label(POD_NAMESPACE);
        match look_at_container(runtime, &container.id).await {
            Ok(container) => seen.containers.push(container),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    seen.sort();
    Ok(seen)
}

async fn look_at_sandbox(runtime: &Runtime, id: &str) -> Result<SeenSandbox, CriError> {
    let answer = runtime.call(PodSandboxStatusRequest {
        pod_sandbox_id: id.to_owned(),
        verbose: false,
    });
    let status = answer.await?.status;
    let status = status.ok_or_else(|| CriError::incomplete("sandbox"))?;
    let options = status
        .linux
        .as_ref()
        .and_then(|linux| linux.namespaces.as_ref()?.options.as_ref());
    let host_network = options.is_some_and(|options| options.network() == NamespaceMode::Node);
    let ready = status.state() == PodSandboxState::Ready;
    let mut ips = Vec::new();
    if let Some(network) = status.network {
        ips.push(network.ip);
        ips.extend(network.additional_ips.into_iter().map(|ip| ip.ip));
        ips.retain(|ip| !ip.is_empty());
    }
    Ok(SeenSandbox {
        id: status.id,
        attempt: status.metadata.map_or(0, |metadata| metadata.attempt),
        ready,
        created_at: status.created_at,
        ips,
        host_network,
        runtime_handler: status.runtime_handler,
    })
}

async fn look_at_container(runtime: &Runtime, id: &str) -> Result<SeenContainer, CriError> {
    let answer = runtime.call(ContainerStatusRequest {
        container_id: id.to_owned(),
        verbose: false,
    });
    let status = answer.await?.status;
    let status = status.ok_or_else(|| CriError::incomplete("container"))?;
    let state = match status.state() {
        ContainerState::Created => State::Created,
        ContainerState::Running => State::Running,
        ContainerState::Exited => State::Exited,
        ContainerState::Unknown => State::Unknown,
    };
    let image = status.image.unwrap_or_default();
    let user = status.user.as_ref().and_then(|user| user.linux.as_ref());
    let mut seen = SeenContainer {
        id: status.id,
        name: status
            .labels
            .get(CONTAINER_NAME)
            .cloned()
            .unwrap_or_default(),
        state,
        created_at: status.created_at,
        started_at: status.started_at,
        finished_at: status.finished_at,
        exit_code: status.exit_code,
        reason: status.reason,
        message: status.message,
        image: match image.user_specified_image.is_empty() {
            true => image.image,
            false => image.user_specified_image,
        },
        image_ref: status.image_ref,
        image_id: status.image_id,
        log_path: status.log_path,
        annotations: status.annotations,
        user: user.map(|user| (user.uid, user.gid, user.supplemental_groups.clone())),
        condemned: false,
    };
    if state == State::Exited {
        let mount = status
            .mounts
            .iter()
            .find(|mount| Some(mount.container_path.as_str()) == seen.message_path());
        let file = mount.map(|mount| mount.host_path.clone());
        if let Some(words) = last_words(&seen, file).await {
            seen.message = words;
        }
    }
    Ok(seen)
}
