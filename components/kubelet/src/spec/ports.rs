//! Ports of the node that lead to a pod.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::Pod;
use mainstay_cri::{PortMapping, Protocol};

/// All ports of a pod's containers; those without a port of the node are information for the runtime.
#[must_use]
pub fn port_mappings(pod: &Pod) -> Vec<PortMapping> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let mut mappings = Vec::new();
    for container in &spec.containers {
        let mut names = HashSet::new();
        for port in container.ports.iter().flatten() {
            let host_ip = port.host_ip.clone().unwrap_or_default();
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let host_port = port.host_port.unwrap_or(0);
            let name = port.name.clone().unwrap_or_else(|| {
                format!("{protocol}-{host_ip}:{}:{host_port}", port.container_port)
            });
            // The same port twice in one container is one.
            if !names.insert(name) {
                continue;
            }
            let protocol = match protocol {
                "UDP" => Protocol::Udp,
                "SCTP" => Protocol::Sctp,
                _ => Protocol::Tcp,
            };
            mappings.push(PortMapping {
                protocol: protocol.into(),
                container_port: port.container_port,
                host_port,
                host_ip,
            });
        }
    }
    mappings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::pod;

    #[test]
    fn a_port_that_is_there_twice_is_mapped_once() {
        let pod = pod(
            "containers: [{name: a, ports: [{containerPort: 80, hostPort: 8080}, \
                       {containerPort: 80, hostPort: 8080}, {containerPort: 53, protocol: UDP, hostIP: 127.0.0.1}]}, \
                       {name: b, ports: [{containerPort: 81, protocol: SCTP}]}]",
        );
        let all: Vec<_> = port_mappings(&pod)
            .into_iter()
            .map(|m| (m.protocol, m.container_port, m.host_port, m.host_ip))
            .collect();
        assert_eq!(
            all,
            [
                (0, 80, 8080, String::new()),
                (1, 53, 0, "127.0.0.1".to_owned()),
                (2, 81, 0, String::new()),
            ]
        );
    }
}
