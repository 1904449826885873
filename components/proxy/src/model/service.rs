//! What a service says about each of its ports.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1 as core;
use mainstay_client::Key;

/// Protocols that can be forwarded. SCTP is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// From the API; what is not said is TCP.
    #[must_use]
    pub fn read(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("TCP") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some(_) => None,
        }
    }

    /// As rules have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One port of one service; shown as `namespace/name:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortName {
    pub service: Key,
    /// Empty where a service has a single port without a name.
    pub port: String,
    pub protocol: Protocol,
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port.as_str() {
            "" => write!(f, "{}", self.service),
            port => write!(f, "{}:{port}", self.service),
        }
    }
}

/// A service that has an IPv4 address of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub ports: Vec<ServicePort>,
    /// Where load balancers ask whether this node has endpoints of it.
    pub health_port: Option<u16>,
}

/// What is reached at one port, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    pub name: PortName,
    pub cluster_ip: Ipv4Addr,
    pub port: u16,
    pub node_port: Option<u16>,
    pub external_ips: Vec<Ipv4Addr>,
    /// Addresses of load balancers that leave the destination of packets as it is.
    pub balancers: Vec<Ipv4Addr>,
    /// Who may come through a load balancer; everybody where it is empty.
    pub sources: Vec<Ipv4Net>,
    /// Seconds for which a client keeps its endpoint.
    pub affinity: Option<u32>,
    pub internal_local: bool,
    pub external_local: bool,
    pub health_port: Option<u16>,
}

impl ServicePort {
    /// Whether it is reached otherwise than by its cluster IP.
    #[must_use]
    pub fn is_external(&self) -> bool {
        self.node_port.is_some() || !self.balancers.is_empty() || !self.external_ips.is_empty()
    }

    /// Whether anything goes by the policy "Cluster". Traffic of pods and of the node itself to external addresses
    /// always does.
    #[must_use]
    pub fn uses_cluster(&self) -> bool {
        !self.internal_local || self.is_external()
    }

    /// Whether anything goes by the policy "Local".
    #[must_use]
    pub fn uses_local(&self) -> bool {
        self.internal_local || (self.external_local && self.is_external())
    }
}

impl Service {
    /// None for what is not proxied: headless and external names, other families, and those that others proxy.
    #[must_use]
    pub fn read(object: &core::Service) -> Option<Self> {
        let spec = object.spec.as_ref()?;
        if spec.type_.as_deref() == Some("ExternalName") {
            return None;
        }
        let cluster_ip = cluster_ip(spec)?;
        let is_reached = matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer"))
            || spec
                .external_ips
                .as_ref()
                .is_some_and(|ips| !ips.is_empty());
        let external_local = is_reached && spec.external_traffic_policy.as_deref() == Some("Local");
        let health_port = match external_local && spec.type_.as_deref() == Some("LoadBalancer") {
            true => spec.health_check_node_port.and_then(port),
            false => None,
        };
        let common = ServicePort {
            name: PortName {
                service: Key::of(object),
                port: String::new(),
                protocol: Protocol::Tcp,
            },
            cluster_ip,
            port: 0,
            node_port: None,
            external_ips: addresses(spec.external_ips.as_deref().unwrap_or_default()),
            balancers: balancers(object.status.as_ref()),
            sources: sources(spec.load_balancer_source_ranges.as_deref()),
            affinity: affinity(spec),
            internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
            external_local,
            health_port,
        };
        let ports = spec.ports.iter().flatten();
        let ports = ports.filter_map(|told| {
            let mut own = common.clone();
            own.name.port = told.name.clone().unwrap_or_default();
            own.name.protocol = Protocol::read(told.protocol.as_deref())?;
            own.port = port(told.port)?;
            own.node_port = told.node_port.and_then(port);
            Some(own)
        });
        Some(Self {
            ports: ports.collect(),
            health_port,
        })
    }
}

/// Ports of the API are numbers of 32 bits; 0 is none.
pub(super) fn port(number: i32) -> Option<u16> {
    u16::try_from(number).ok().filter(|port| *port != 0)
}

fn cluster_ip(spec: &core::ServiceSpec) -> Option<Ipv4Addr> {
    let all = spec.cluster_ips.iter().flatten();
    let mut all = all.chain(&spec.cluster_ip);
    all.find_map(|text| text.parse().ok())
}

fn addresses(texts: &[String]) -> Vec<Ipv4Addr> {
    let mut found: Vec<Ipv4Addr> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    found.sort();
    found.dedup();
    found
}

/// A load balancer that rewrites destinations (mode "Proxy") is not short-circuited.
fn balancers(status: Option<&core::ServiceStatus>) -> Vec<Ipv4Addr> {
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref());
    let ingress = ingress.unwrap_or_default().iter();
    let vips = ingress.filter(|ingress| ingress.ip_mode.as_deref().unwrap_or("VIP") == "VIP");
    addresses(&vips.filter_map(|vip| vip.ip.clone()).collect::<Vec<_>>())
}

/// A range that is everything is as good as none.
fn sources(texts: Option<&[String]>) -> Vec<Ipv4Net> {
    let texts = texts.unwrap_or_default().iter();
    // Old validation let spaces through.
    let nets = texts.filter_map(|text| text.trim().parse::<Ipv4Net>().ok());
    let mut nets: Vec<Ipv4Net> = nets.map(|net| net.trunc()).collect();
    if nets.iter().any(|net| net.prefix_len() == 0) {
        nets.clear();
    }
    nets.sort();
    nets.dedup();
    nets
}

fn affinity(spec: &core::ServiceSpec) -> Option<u32> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let config = spec.session_affinity_config.as_ref();
    let client = config.and_then(|config| config.client_ip.as_ref());
    let seconds = client.and_then(|client| client.timeout_seconds);
    // Three hours is the API's default.
    Some(
        seconds
            .and_then(|s| u32::try_from(s).ok())
            .unwrap_or(10_800),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(spec: Value, status: Value) -> Option<Service> {
        let object =
            json!({"metadata": {"namespace": "a", "name": "b"}, "spec": spec, "status": status});
        Service::read(&serde_json::from_value(object).expect("a service"))
    }

    #[test]
    fn what_is_not_proxied() {
        let port = json!([{"port": 80}]);
        for (why, spec) in [
            ("headless", json!({"clusterIP": "None", "ports": port})),
            ("no address yet", json!({"ports": port})),
            (
                "an external name",
                json!({"type": "ExternalName", "externalName": "example.com", "clusterIP": "10.0.0.1"}),
            ),
            (
                "the other family",
                json!({"clusterIP": "fd00::1", "ports": port}),
            ),
        ] {
            assert_eq!(read(spec, json!({})), None, "{why}");
        }
    }

    #[test]
    fn both_families_give_the_address_of_ours() {
        let spec = json!({"clusterIP": "fd00::1", "clusterIPs": ["fd00::1", "10.0.0.1"], "ports": [{"port": 1}]});
        let service = read(spec, json!({})).expect("it has one");
        assert_eq!(service.ports[0].cluster_ip, Ipv4Addr::new(10, 0, 0, 1));
    }

    #[test]
    fn a_load_balancer_with_everything() {
        let spec = json!({
            "type": "LoadBalancer", "clusterIP": "10.0.0.1",
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053},
                {"name": "s", "port": 1, "protocol": "SCTP"},
            ],
            "externalIPs": ["192.0.2.1", "2001:db8::1"],
            "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local", "healthCheckNodePort": 32000,
            "loadBalancerSourceRanges": [" 203.0.113.9/24 ", "2001:db8::/32"],
            "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}},
        });
        let status = json!({"loadBalancer": {"ingress": [
            {"ip": "198.51.100.1"}, {"ip": "198.51.100.2", "ipMode": "Proxy"}, {"hostname": "h"},
        ]}});
        let service = read(spec, status).expect("it is proxied");
        assert_eq!(service.health_port, Some(32000));
        let [port] = &service.ports[..] else {
            panic!("one port is left without SCTP: {service:?}");
        };
        assert_eq!(port.name.to_string(), "a/b:dns");
        assert_eq!(port.name.protocol, Protocol::Udp);
        assert_eq!(port.node_port, Some(30053));
        assert_eq!(port.external_ips, [Ipv4Addr::new(192, 0, 2, 1)]);
        assert_eq!(port.balancers, [Ipv4Addr::new(198, 51, 100, 1)]);
        assert_eq!(port.sources, ["203.0.113.0/24".parse().expect("a net")]);
        assert_eq!(port.affinity, Some(5));
        assert!(port.internal_local && port.external_local);
    }

    #[test]
    fn everybody_may_come_when_one_range_is_everything() {
        let spec = json!({
            "clusterIP": "10.0.0.1", "ports": [{"port": 1}],
            "loadBalancerSourceRanges": ["10.0.0.0/8", "0.0.0.0/0"],
        });
        let service = read(spec, json!({})).expect("it is proxied");
        assert!(service.ports[0].sources.is_empty());
    }
}
