//! What endpoint slices say about who answers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use jiff::Timestamp;
use k8s_openapi::api::discovery::v1 as discovery;
use mainstay_client::Key;

use super::service::{Protocol, port};

/// One address and port that answers for a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    pub address: SocketAddrV4,
    /// On this node.
    pub local: bool,
    pub ready: bool,
    /// Answers, even if it is about to end.
    pub serving: bool,
    pub terminating: bool,
    /// Zones that should use it.
    pub zones: Vec<String>,
    /// Whether it is meant for certain nodes,
    pub has_nodes: bool,
    /// and whether this is one of them.
    pub for_this_node: bool,
}

impl Endpoint {
    /// A ready one, as tests want it.
    #[must_use]
    pub fn new(ip: Ipv4Addr, port: u16) -> Self {
        Self {
            address: SocketAddrV4::new(ip, port),
            local: false,
            ready: true,
            serving: true,
            terminating: false,
            zones: Vec::new(),
            has_nodes: false,
            for_this_node: false,
        }
    }

    /// About to end, but still answering: used while there is no other.
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        self.serving && self.terminating
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Name and protocol of a port in a slice: it is for the port of the service that has both.
pub type PortKey = (String, Protocol);

/// One endpoint slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    pub endpoints: BTreeMap<PortKey, Vec<Endpoint>>,
    /// When the pods or the service changed in a way that led to this state.
    pub trigger: Option<Timestamp>,
}

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

impl Slice {
    /// The slice and its service; None if it is of no service or of another family.
    #[must_use]
    pub fn read(object: &discovery::EndpointSlice, node: &str) -> Option<(Key, Self)> {
        if object.address_type != "IPv4" {
            return None;
        }
        let meta = &object.metadata;
        let service = meta.labels.as_ref()?.get(SERVICE_NAME)?;
        let key = Key::new(meta.namespace.as_deref()?, service);
        let annotations = meta.annotations.as_ref();
        let trigger = annotations.and_then(|all| all.get(TRIGGER_TIME)?.parse().ok());
        let mut slice = Self {
            trigger,
            ..Self::default()
        };
        for told in object.ports.iter().flatten() {
            let Some(number) = told.port.and_then(port) else {
                continue;
            };
            let Some(protocol) = Protocol::read(told.protocol.as_deref()) else {
                continue;
            };
            let name = told.name.clone().unwrap_or_default();
            let all = slice.endpoints.entry((name, protocol)).or_default();
            let ours = object.endpoints.iter().flatten();
            all.extend(ours.filter_map(|told| endpoint(told, number, node)));
        }
        Some((key, slice))
    }
}

fn endpoint(told: &discovery::Endpoint, port: u16, node: &str) -> Option<Endpoint> {
    let ip = told.addresses.first()?.parse().ok()?;
    let conditions = told.conditions.clone().unwrap_or_default();
    let hints = told.hints.clone().unwrap_or_default();
    let zones = hints.for_zones.unwrap_or_default();
    let nodes = hints.for_nodes.unwrap_or_default();
    Some(Endpoint {
        address: SocketAddrV4::new(ip, port),
        local: told.node_name.as_deref() == Some(node),
        ready: conditions.ready.unwrap_or(true),
        serving: conditions.serving.unwrap_or(true),
        terminating: conditions.terminating.unwrap_or(false),
        zones: zones.into_iter().map(|zone| zone.name).collect(),
        has_nodes: !nodes.is_empty(),
        for_this_node: nodes.iter().any(|told| told.name == node),
    })
}

/// Endpoints of one port in all slices of its service, in order of their addresses, each address once: an endpoint
/// may be in two slices while it moves, and a pod's address may be used again before its object is gone.
#[must_use]
pub(super) fn merge<'a>(slices: impl Iterator<Item = &'a Slice>, port: &PortKey) -> Vec<Endpoint> {
    let mut found: BTreeMap<SocketAddrV4, &Endpoint> = BTreeMap::new();
    for endpoint in slices.flat_map(|slice| slice.endpoints.get(port).into_iter().flatten()) {
        let known = found.entry(endpoint.address).or_insert(endpoint);
        if known.terminating && !endpoint.terminating {
            *known = endpoint;
        }
    }
    found.into_values().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_slice_tells_its_service_and_what_is_here() {
        let object = json!({
            "metadata": {
                "namespace": "a", "name": "b-1", "labels": {"kubernetes.io/service-name": "b"},
                "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "none"}],
            "endpoints": [
                {"addresses": ["10.1.0.1"], "nodeName": "n1"},
                {"addresses": ["10.1.0.2"], "nodeName": "n2",
                 "conditions": {"ready": false, "serving": true, "terminating": true},
                 "hints": {"forZones": [{"name": "z"}], "forNodes": [{"name": "n1"}]}},
            ],
        });
        let object = serde_json::from_value(object).expect("a slice");
        let (key, slice) = Slice::read(&object, "n1").expect("it is of a service");
        assert_eq!(key, Key::new("a", "b"));
        assert!(slice.trigger.is_some());
        let ends = &slice.endpoints[&("http".to_owned(), Protocol::Tcp)];
        assert_eq!(slice.endpoints.len(), 1);
        assert!(ends[0].local && ends[0].ready && !ends[0].terminating);
        assert!(!ends[1].local && !ends[1].ready && ends[1].is_last_resort());
        assert!(ends[1].has_nodes && ends[1].for_this_node);
        assert_eq!(ends[1].zones, ["z"]);
    }

    #[test]
    fn an_address_in_two_slices_counts_once_and_as_the_one_that_stays() {
        let ends = |terminating| {
            let mut end = Endpoint::new(Ipv4Addr::new(10, 1, 0, 1), 80);
            end.terminating = terminating;
            end.ready = !terminating;
            let key = (String::new(), Protocol::Tcp);
            Slice {
                endpoints: BTreeMap::from([(key, vec![end])]),
                trigger: None,
            }
        };
        for order in [[ends(true), ends(false)], [ends(false), ends(true)]] {
            let merged = merge(order.iter(), &(String::new(), Protocol::Tcp));
            assert_eq!(merged.len(), 1);
            assert!(merged[0].ready);
        }
    }
}
