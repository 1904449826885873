//! Containers and sandboxes that are over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mainstay_cri::{
    Container, ContainerState, ContainerStatusRequest, CriError, ListContainersRequest,
    ListPodSandboxRequest, PodSandbox, PodSandboxState, RemoveContainerRequest,
    RemovePodSandboxRequest, Runtime,
};

use super::logs::remove_log;
use crate::labels::{CONTAINER_NAME, POD_UID};
use crate::limits::DEAD_CONTAINERS_MAX;

/// Removes what pods do not need: of each container the newest ended one is kept for its log and its end, of sandboxes the
/// newest. Pods that are gone are removed by their own tasks.
///
/// # Errors
/// What the runtime said first; the next round goes on.
pub async fn remove_containers(runtime: &Runtime) -> Result<(), CriError> {
    let containers = runtime.call(ListContainersRequest::default()).await?;
    for id in surplus_containers(&containers.containers) {
        let request = ContainerStatusRequest {
            container_id: id.clone(),
            verbose: false,
        };
        let status = runtime.call(request).await.ok();
        let removed = runtime.call(RemoveContainerRequest { container_id: id });
        there(removed.await)?;
        let log = status.and_then(|answer| answer.status);
        if let Some(log) = log
            .map(|status| status.log_path)
            .filter(|log| !log.is_empty())
        {
            remove_log(Path::new(&log));
        }
    }
    let sandboxes = runtime.call(ListPodSandboxRequest::default()).await?;
    let containers = runtime.call(ListContainersRequest::default()).await?;
    for id in surplus_sandboxes(&sandboxes.items, &containers.containers) {
        let removed = runtime.call(RemovePodSandboxRequest { pod_sandbox_id: id });
        there(removed.await)?;
    }
    Ok(())
}

fn there<T>(answer: Result<T, CriError>) -> Result<(), CriError> {
    match answer {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Ended ones of which there are newer ones of the same pod and name.
fn surplus_containers(all: &[Container]) -> Vec<String> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Container>> = BTreeMap::new();
    for container in all {
        let label = |key: &str| container.labels.get(key).map(String::as_str);
        if let (Some(uid), Some(name)) = (label(POD_UID), label(CONTAINER_NAME)) {
            groups.entry((uid, name)).or_default().push(container);
        }
    }
    let mut surplus = Vec::new();
    for group in groups.values_mut() {
        group.sort_by_key(|container| std::cmp::Reverse(container.created_at));
        let ended = group
            .iter()
            .filter(|container| container.state() == ContainerState::Exited);
        surplus.extend(ended.skip(DEAD_CONTAINERS_MAX).map(|one| one.id.clone()));
    }
    surplus
}

/// Those that are down, have no containers and are not the newest of their pod.
fn surplus_sandboxes(all: &[PodSandbox], containers: &[Container]) -> Vec<String> {
    let used: BTreeSet<&str> = containers
        .iter()
        .map(|container| container.pod_sandbox_id.as_str())
        .collect();
    let mut newest: BTreeMap<&str, &PodSandbox> = BTreeMap::new();
    for sandbox in all {
        let Some(uid) = sandbox.labels.get(POD_UID) else {
            continue;
        };
        let known = newest.entry(uid).or_insert(sandbox);
        if sandbox.created_at > known.created_at {
            *known = sandbox;
        }
    }
    let is_newest = |sandbox: &PodSandbox| newest.values().any(|one| one.id == sandbox.id);
    all.iter()
        .filter(|sandbox| sandbox.labels.contains_key(POD_UID))
        .filter(|sandbox| sandbox.state() == PodSandboxState::NotReady)
        .filter(|sandbox| !used.contains(sandbox.id.as_str()) && !is_newest(sandbox))
        .map(|sandbox| sandbox.id.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: &str, name: &str, age: i64, state: ContainerState) -> Container {
        Container {
            id: id.to_owned(),
            pod_sandbox_id: "s1".to_owned(),
            state: state as i32,
            created_at: age,
            labels: BTreeMap::from([
                (POD_UID.to_owned(), "u".to_owned()),
                (CONTAINER_NAME.to_owned(), name.to_owned()),
            ]),
            ..Container::default()
        }
    }

    #[test]
    fn the_newest_ended_one_of_each_is_kept() {
        let all = [
            container("a1", "a", 1, ContainerState::Exited),
            container("a2", "a", 2, ContainerState::Exited),
            container("a3", "a", 3, ContainerState::Running),
            container("b1", "b", 1, ContainerState::Exited),
            container("b2", "b", 2, ContainerState::Exited),
            Container {
                labels: BTreeMap::new(),
                ..container("c1", "c", 1, ContainerState::Exited)
            },
        ];
        assert_eq!(surplus_containers(&all), ["a1", "b1"]);
    }

    #[test]
    fn older_sandboxes_without_containers_go() {
        let sandbox = |id: &str, age: i64, state: PodSandboxState| PodSandbox {
            id: id.to_owned(),
            created_at: age,
            state: state as i32,
            labels: BTreeMap::from([(POD_UID.to_owned(), "u".to_owned())]),
            ..PodSandbox::default()
        };
        let all = [
            sandbox("s0", 0, PodSandboxState::NotReady),
            sandbox("s1", 1, PodSandboxState::NotReady),
            sandbox("s2", 2, PodSandboxState::NotReady),
        ];
        let used = [container("a", "a", 1, ContainerState::Exited)];
        assert_eq!(surplus_sandboxes(&all, &used), ["s0"]);
    }
}
