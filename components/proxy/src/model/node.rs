//! What matters of this node's object.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1 as core;

/// Set by the cluster autoscaler on a node it is about to take away.
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
const ZONE: &str = "topology.kubernetes.io/zone";

/// This node as the apiserver knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Empty where it is in none.
    pub zone: String,
    /// Its internal address, or else its external one.
    pub address: Option<Ipv4Addr>,
    /// Where its pods have their addresses.
    pub pods: Option<Ipv4Net>,
    /// Whether load balancers may send to it: it is neither deleted nor about to be taken away.
    pub eligible: bool,
}

impl Node {
    #[must_use]
    pub fn read(object: &core::Node) -> Self {
        let labels = object.metadata.labels.as_ref();
        let spec = object.spec.as_ref();
        let taints = spec.and_then(|spec| spec.taints.as_deref());
        let is_going = taints
            .unwrap_or_default()
            .iter()
            .any(|taint| taint.key == TO_BE_DELETED);
        let cidrs = spec.and_then(|spec| spec.pod_cidrs.as_deref());
        let cidrs = cidrs.unwrap_or_default().iter();
        let cidrs = cidrs.chain(spec.and_then(|spec| spec.pod_cidr.as_ref()));
        Self {
            zone: labels
                .and_then(|labels| labels.get(ZONE).cloned())
                .unwrap_or_default(),
            address: address(object, "InternalIP").or_else(|| address(object, "ExternalIP")),
            pods: cidrs.filter_map(|text| text.parse().ok()).next(),
            eligible: object.metadata.deletion_timestamp.is_none() && !is_going,
        }
    }
}

fn address(object: &core::Node, kind: &str) -> Option<Ipv4Addr> {
    let status = object.status.as_ref()?;
    let mut told = status.addresses.iter().flatten();
    told.find_map(|told| match told.type_ == kind {
        true => told.address.parse().ok(),
        false => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_that_is_about_to_go_is_not_for_load_balancers() {
        let object = json!({
            "metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "z"}},
            "spec": {"podCIDRs": ["fd00::/64", "10.244.1.0/24"]},
            "status": {"addresses": [
                {"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "172.16.0.1"},
            ]},
        });
        let mut object: core::Node = serde_json::from_value(object).expect("a node");
        let node = Node::read(&object);
        assert_eq!(node.zone, "z");
        assert_eq!(node.address, Some(Ipv4Addr::new(172, 16, 0, 1)));
        assert_eq!(node.pods, "10.244.1.0/24".parse().ok());
        assert!(node.eligible);
        let taint = json!([{"key": TO_BE_DELETED, "effect": "NoSchedule"}]);
        let spec = object.spec.as_mut().expect("given above");
        spec.taints = serde_json::from_value(taint).expect("a taint");
        assert!(!Node::read(&object).eligible);
    }
}
