//! What the network needs to know of nodes.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;

/// A node that can have pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
    pub(super) pods: Ipv4Net,
}

impl Peer {
    /// Nothing if it has no address or no range for pods yet.
    pub(super) fn of(node: &Node) -> Option<Self> {
        let spec = node.spec.as_ref()?;
        let ranges = spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr);
        let pods = ranges.filter_map(|range| range.parse().ok()).next()?;
        let status = node.status.as_ref()?;
        let addresses = status.addresses.iter().flatten();
        let internal = addresses.filter(|address| address.type_ == "InternalIP");
        let address = internal
            .filter_map(|address| address.address.parse().ok())
            .next()?;
        Some(Self {
            name: node.metadata.name.clone()?,
            address,
            pods,
        })
    }

    /// Whether nothing runs there that could be reached.
    pub(super) fn is_fake(node: &Node) -> bool {
        let provider = node
            .spec
            .as_ref()
            .and_then(|spec| spec.provider_id.as_deref());
        let info = node
            .status
            .as_ref()
            .and_then(|status| status.node_info.as_ref());
        let runtime = info.map(|info| info.container_runtime_version.as_str());
        [provider, runtime]
            .into_iter()
            .flatten()
            .any(|text| text.starts_with("fake://"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_counts_once_it_has_an_address_and_a_range() {
        let node = |spec, status| -> Node {
            serde_json::from_value(json!({
                "metadata": {"name": "worker-1"}, "spec": spec, "status": status,
            }))
            .expect("a node")
        };
        let addresses = json!({"addresses": [
            {"type": "Hostname", "address": "worker-1"},
            {"type": "InternalIP", "address": "fd00::1"},
            {"type": "InternalIP", "address": "10.240.0.101"},
        ]});
        let spec = json!({"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00::/64"]});
        let peer = Peer::of(&node(spec.clone(), addresses.clone())).expect("complete");
        assert_eq!(peer.address, Ipv4Addr::new(10, 240, 0, 101));
        assert_eq!(peer.pods.to_string(), "10.244.1.0/24");
        assert_eq!(Peer::of(&node(json!({}), addresses)), None);
        assert_eq!(Peer::of(&node(spec.clone(), json!({}))), None);
        let info = json!({"nodeInfo": {
            "containerRuntimeVersion": "fake://1", "architecture": "", "bootID": "", "kernelVersion": "",
            "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "",
            "systemUUID": "",
        }});
        assert!(Peer::is_fake(&node(spec.clone(), info)));
        assert!(!Peer::is_fake(&node(spec, json!({}))));
    }
}
