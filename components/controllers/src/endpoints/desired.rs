//! Which pods are endpoints of a service, and as what.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions};

use crate::pods::{is_ready, phase};

/// Address types of slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Family {
    IPv4,
    IPv6,
}

impl Family {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::IPv4 => "IPv4",
            Self::IPv6 => "IPv6",
        }
    }

    /// The families of a service; those of its cluster addresses where it does not say.
    pub(super) fn of(service: &Service) -> Vec<Self> {
        let spec = service.spec.as_ref();
        let said = spec.and_then(|spec| spec.ip_families.as_deref());
        let mut families: Vec<_> = said
            .unwrap_or_default()
            .iter()
            .filter_map(|family| match family.as_str() {
                "IPv4" => Some(Self::IPv4),
                "IPv6" => Some(Self::IPv6),
                _ => None,
            })
            .collect();
        if families.is_empty() {
            let address = spec.and_then(|spec| spec.cluster_ip.as_deref());
            let six = address.is_some_and(|address| address.contains(':'));
            families.push(if six { Self::IPv6 } else { Self::IPv4 });
        }
        families
    }

    /// A pod's first address of this family.
    pub(super) fn address(self, pod: &Pod) -> Option<String> {
        let status = pod.status.as_ref()?;
        let all = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
        let one = status.pod_ip.as_deref();
        let mut own = all.chain(one).filter(|ip| {
            matches!(
                (self, ip.parse()),
                (Self::IPv4, Ok(IpAddr::V4(_))) | (Self::IPv6, Ok(IpAddr::V6(_)))
            )
        });
        own.next().map(str::to_owned)
    }
}

/// Whether a service has anything to do with a pod; one that is going counts where `terminating_too`.
pub(super) fn belongs(pod: &Pod, terminating_too: bool) -> bool {
    let has_address = pod.status.as_ref().is_some_and(|status| {
        status.pod_ip.as_deref().is_some_and(|ip| !ip.is_empty()) || status.pod_ips.is_some()
    });
    let goes = pod.metadata.deletion_timestamp.is_some();
    let ended = matches!(phase(pod), "Succeeded" | "Failed");
    has_address && !ended && (terminating_too || !goes)
}

pub(super) fn publishes_unready(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.publish_not_ready_addresses)
        .unwrap_or(false)
}

/// A pod as an endpoint; `node` is the one it is on, if it is known.
pub(super) fn endpoint(
    service: &Service,
    pod: &Pod,
    family: Family,
    node: Option<&Node>,
) -> Option<Endpoint> {
    let address = family.address(pod)?;
    let serving = is_ready(pod);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let ready = publishes_unready(service) || (serving && !terminating);
    let labels = node.and_then(|node| node.metadata.labels.as_ref());
    let zone = labels.and_then(|labels| labels.get("topology.kubernetes.io/zone"));
    let node_name = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    Some(Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname(service, pod),
        node_name,
        target_ref: Some(target(pod)),
        zone: zone.cloned(),
        ..Endpoint::default()
    })
}

pub(super) fn target(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// A pod's own name within its service, for DNS.
pub(super) fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let same = spec.subdomain == service.metadata.name
        && pod.metadata.namespace == service.metadata.namespace;
    spec.hostname
        .clone()
        .filter(|name| same && !name.is_empty())
}
