//! A container in the runtime's words.

use k8s_openapi::api::core::v1::{Container, Pod};
use mainstay_cri::{
    ContainerConfig, ContainerMetadata, Device, ImageSpec, LinuxContainerConfig, Mount,
};

use super::environment::Environment;
use super::error::ConfigError;
use super::expand::expand;
use super::layout::container_log;
use super::node_facts::NodeFacts;
use super::resources::container_resources;
use super::security::{ImageUser, container_security, verify_non_root};
use super::signals::signal;
use crate::labels;

/// What a container is made from, beside its spec.
#[derive(Debug)]
pub struct ContainerInput<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub restarts: u32,
    /// The image that was pulled, as the runtime names it.
    pub image: &'a str,
    pub image_user: &'a ImageUser,
    pub environment: Environment,
    /// Volumes, `/etc/hosts` and the termination log.
    pub mounts: Vec<Mount>,
    pub devices: Vec<Device>,
    pub node: &'a NodeFacts,
}

/// A container as its pod asks for it.
///
/// # Errors
/// If it must not run as root and would, or the pod asks for what cannot be.
pub fn container_config(input: ContainerInput<'_>) -> Result<ContainerConfig, ConfigError> {
    let ContainerInput {
        pod,
        container,
        node,
        ..
    } = input;
    verify_non_root(pod, container, input.image_user)?;
    let security = container_security(pod, container, input.image_user, node)?;
    let expanded = |texts: &Option<Vec<String>>| -> Vec<String> {
        let value = |name: &str| input.environment.text(name);
        texts
            .iter()
            .flatten()
            .map(|text| expand(text, value))
            .collect()
    };
    let marks = labels::of_container(pod, container, input.restarts);
    let stop = container
        .lifecycle
        .as_ref()
        .and_then(|l| l.stop_signal.as_deref());
    Ok(ContainerConfig {
        metadata: Some(ContainerMetadata {
            name: container.name.clone(),
            attempt: input.restarts,
        }),
        image: Some(ImageSpec {
            image: input.image.to_owned(),
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..ImageSpec::default()
        }),
        command: expanded(&container.command),
        args: expanded(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: input.environment.into_runtime(),
        mounts: input.mounts,
        devices: input.devices,
        labels: marks.labels,
        annotations: marks.annotations,
        log_path: container_log(&container.name, input.restarts),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(LinuxContainerConfig {
            resources: Some(container_resources(pod, container, node)),
            security_context: Some(security),
        }),
        stop_signal: stop.map_or(0, signal),
        ..ContainerConfig::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::environment::{EnvironmentSources, Objects};
    use crate::spec::tests::{facts, pod};

    fn made(container: &str) -> Result<ContainerConfig, ConfigError> {
        let pod = pod(&format!("containers: [{container}]"));
        let node = facts();
        let container = &pod.spec.as_ref().expect("has one").containers[0];
        let sources = EnvironmentSources {
            node: &node,
            objects: &Objects::default(),
            services: &[],
            pod_ips: &[],
        };
        container_config(ContainerInput {
            pod: &pod,
            container,
            restarts: 2,
            image: "sha256:1",
            image_user: &ImageUser::Uid(0),
            environment: Environment::of(&pod, container, sources)?,
            mounts: Vec::new(),
            devices: Vec::new(),
            node: &node,
        })
    }

    #[test]
    fn a_container_is_as_its_spec_says() {
        let made = made(
            "{name: a, image: web, command: [sh, -c], args: ['echo $(X) $$(X) $(Y)'], workingDir: /w, tty: true, \
             env: [{name: X, value: '1'}], lifecycle: {stopSignal: SIGUSR1}}",
        )
        .expect("valid");
        assert_eq!(made.command, ["sh", "-c"]);
        assert_eq!(made.args, ["echo 1 $(X) $(Y)"]);
        assert_eq!(made.working_dir, "/w");
        assert_eq!(made.log_path, "a/2.log");
        assert_eq!(made.stop_signal, 29);
        assert!(made.tty && !made.stdin);
        let image = made.image.expect("always");
        assert_eq!(
            (image.image.as_str(), image.user_specified_image.as_str()),
            ("sha256:1", "web")
        );
        assert_eq!(made.labels["io.kubernetes.container.name"], "a");
        assert_eq!(
            made.annotations["io.kubernetes.container.restartCount"],
            "2"
        );
    }

    #[test]
    fn who_must_not_be_root_is_not_made() {
        let why = made("{name: a, securityContext: {runAsNonRoot: true}}").expect_err("root");
        assert!(
            why.to_string()
                .starts_with("container has runAsNonRoot and image will run as root")
        );
    }
}
