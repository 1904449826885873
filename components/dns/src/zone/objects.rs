//! What is taken from the apiserver's objects.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service as ServiceObject;
use k8s_openapi::api::discovery::v1::{Endpoint as EndpointObject, EndpointSlice};

use super::labels::{dashed, key};
use crate::wire::Name;

/// Which service a slice of endpoints belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// One port, by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    /// Empty for the only port without one.
    pub(crate) name: String,
    /// `tcp`, `udp` or `sctp`.
    pub(crate) protocol: String,
    pub(crate) number: u16,
}

impl Port {
    fn new(name: Option<&String>, protocol: Option<&String>, number: i32) -> Option<Self> {
        let protocol = protocol.map_or("TCP", String::as_str);
        Some(Self {
            name: name.cloned().unwrap_or_default().to_ascii_lowercase(),
            protocol: protocol.to_ascii_lowercase(),
            number: u16::try_from(number).ok()?,
        })
    }
}

/// Where a service's name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To the addresses of the service itself.
    Cluster(Vec<IpAddr>),
    /// To those of its endpoints.
    Headless,
    /// To another name; none where it is not one.
    External(Option<Name>),
}

#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) kind: Kind,
    pub(crate) ports: Vec<Port>,
    pub(crate) publishes_all: bool,
}

impl Service {
    pub(crate) fn of(object: &ServiceObject) -> Self {
        let Some(spec) = &object.spec else {
            return Self {
                kind: Kind::Cluster(Vec::new()),
                ports: Vec::new(),
                publishes_all: false,
            };
        };
        let ports = spec.ports.iter().flatten();
        Self {
            kind: if spec.type_.as_deref() == Some("ExternalName") {
                Kind::External(spec.external_name.as_deref().and_then(external))
            } else if spec.cluster_ip.as_deref() == Some("None") {
                Kind::Headless
            } else {
                Kind::Cluster(cluster_ips(spec))
            },
            ports: ports
                .filter_map(|p| Port::new(p.name.as_ref(), p.protocol.as_ref(), p.port))
                .collect(),
            publishes_all: spec.publish_not_ready_addresses == Some(true),
        }
    }
}

fn cluster_ips(spec: &k8s_openapi::api::core::v1::ServiceSpec) -> Vec<IpAddr> {
    let many = spec.cluster_ips.iter().flatten();
    let all: BTreeSet<IpAddr> = many
        .chain(&spec.cluster_ip)
        .filter_map(|text| text.parse().ok())
        .collect();
    all.into_iter().collect()
}

/// An address is no canonical name: CoreDNS does not resolve such services, and they must not look as if they were
/// names.
fn external(name: &str) -> Option<Name> {
    if name.is_empty() || name.parse::<IpAddr>().is_ok() {
        return None;
    }
    Name::from_text(name)
}

/// One endpoint of a slice.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Its name below the service's.
    pub(crate) label: String,
    /// Whether somebody has chosen that name.
    pub(crate) named: bool,
    pub(crate) ready: bool,
    pub(crate) addresses: Vec<IpAddr>,
}

/// A slice of a service's endpoints.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) ports: Vec<Port>,
}

impl Slice {
    /// The slice, and the key of the service it belongs to, if it does.
    pub(crate) fn of(object: &EndpointSlice) -> Option<(String, Self)> {
        let labels = object.metadata.labels.as_ref()?;
        let service = labels.get(SERVICE_NAME).filter(|name| !name.is_empty())?;
        let namespace = object.metadata.namespace.as_deref()?;
        let service = key(namespace.as_bytes(), service.as_bytes())?;
        let ports = object.ports.iter().flatten();
        let endpoints = object.endpoints.iter().flatten();
        let slice = Self {
            // Those of type FQDN have names where others have addresses.
            endpoints: endpoints.filter_map(endpoint).collect(),
            ports: ports
                .filter_map(|p| Port::new(p.name.as_ref(), p.protocol.as_ref(), p.port?))
                .collect(),
        };
        Some((service, slice))
    }
}

fn endpoint(object: &EndpointObject) -> Option<Endpoint> {
    let addresses: Vec<IpAddr> = object
        .addresses
        .iter()
        .filter_map(|address| address.parse().ok())
        .collect();
    let first = *addresses.first()?;
    let hostname = object.hostname.as_ref().filter(|name| !name.is_empty());
    let ready = object.conditions.as_ref().and_then(|c| c.ready);
    Some(Endpoint {
        label: hostname.map_or_else(|| dashed(first), |name| name.to_ascii_lowercase()),
        named: hostname.is_some(),
        // Unknown is to be taken for ready.
        ready: ready != Some(false),
        addresses,
    })
}
