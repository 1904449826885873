//! A pod's sandbox in the runtime's words.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use mainstay_cri::{LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata};

use super::error::ConfigError;
use super::hostname::Hostname;
use super::node_facts::NodeFacts;
use super::ports::port_mappings;
use super::resolver::pod_dns;
use super::resources::{overhead, sandbox_resources};
use super::security::sandbox_security;
use crate::labels;

/// The `attempt`-th sandbox of a pod, in the cgroup `cgroup_parent`.
///
/// # Errors
/// If the pod asks for what cannot be.
pub fn sandbox_config(
    pod: &Pod,
    attempt: u32,
    cgroup_parent: &str,
    node: &NodeFacts,
) -> Result<PodSandboxConfig, ConfigError> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let marks = labels::of_sandbox(pod);
    let spec = pod.spec.as_ref();
    let hostname = match spec.and_then(|spec| spec.host_network) {
        Some(true) => String::new(),
        _ => Hostname::of(pod, &node.cluster_domain)?.kernel,
    };
    let sysctls = spec
        .and_then(|spec| spec.security_context.as_ref())
        .and_then(|context| context.sysctls.as_ref());
    let sysctls: BTreeMap<_, _> = sysctls
        .into_iter()
        .flatten()
        .map(|sysctl| (sysctl.name.clone(), sysctl.value.clone()))
        .collect();
    Ok(PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: text(&pod.metadata.name),
            uid: text(&pod.metadata.uid),
            namespace: text(&pod.metadata.namespace),
            attempt,
        }),
        hostname,
        log_directory: node.layout.pod_logs(pod).display().to_string(),
        dns_config: Some(pod_dns(pod, node).0),
        port_mappings: port_mappings(pod),
        labels: marks.labels,
        annotations: marks.annotations,
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: cgroup_parent.to_owned(),
            security_context: Some(sandbox_security(pod)?),
            sysctls,
            overhead: Some(overhead(pod, node)),
            resources: Some(sandbox_resources(pod, node)),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{facts, pod};

    #[test]
    fn a_sandbox_is_its_pods() {
        let pod = pod(
            "hostname: h\nsecurityContext: {sysctls: [{name: net.ipv4.x, value: '1'}]}\n\
             containers: [{name: a, ports: [{containerPort: 80, hostPort: 81}]}]",
        );
        let made = sandbox_config(&pod, 3, "/kubepods/besteffort/podu-1", &facts()).expect("valid");
        let metadata = made.metadata.expect("always");
        assert_eq!((metadata.name.as_str(), metadata.attempt), ("p", 3));
        assert_eq!(made.hostname, "h");
        assert_eq!(made.log_directory, "/var/log/pods/ns_p_u-1");
        assert_eq!(made.port_mappings.len(), 1);
        assert_eq!(made.labels["io.kubernetes.pod.uid"], "u-1");
        let linux = made.linux.expect("always");
        assert_eq!(linux.cgroup_parent, "/kubepods/besteffort/podu-1");
        assert_eq!(linux.sysctls["net.ipv4.x"], "1");
    }

    #[test]
    fn a_pod_on_the_hosts_network_has_the_hosts_name() {
        let pod = pod("hostname: h\nhostNetwork: true\ncontainers: [{name: a}]");
        let made = sandbox_config(&pod, 0, "", &facts()).expect("valid");
        assert_eq!(made.hostname, "");
    }
}
