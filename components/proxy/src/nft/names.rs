//! Names of chains and sets.

use crate::model::{Endpoint, PortName};
use crate::names::hash;

/// Longest name the kernel takes, in bytes, less the longest prefix here.
const LENGTH_MAX: usize = 240;

/// What the names of a port's chains end with.
pub(super) fn of_port(port: &PortName) -> String {
    hashed(&plain(port))
}

/// What the names for one endpoint of a port end with.
pub(super) fn of_endpoint(port: &PortName, endpoint: &Endpoint) -> String {
    let address = endpoint.address;
    hashed(&format!(
        "{}__{}/{}",
        plain(port),
        address.ip(),
        address.port()
    ))
}

/// Chains of services have a slash in their names, those that are always there have none.
pub(super) fn is_of_service(chain: &str) -> bool {
    chain.contains('/')
}

pub(super) fn is_affinity(set: &str) -> bool {
    set.starts_with("affinity-")
}

pub(super) fn is_endpoints(map: &str) -> bool {
    map.starts_with("endpoints-")
}

fn plain(port: &PortName) -> String {
    let PortName {
        service,
        port,
        protocol,
    } = port;
    format!("{}/{}/{protocol}/{port}", service.namespace, service.name)
}

fn hashed(name: &str) -> String {
    let mut hashed = format!("{}-{name}", hash(name, 8));
    if hashed.len() > LENGTH_MAX {
        hashed.truncate(LENGTH_MAX - 3);
        hashed.push_str("...");
    }
    hashed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;
    use mainstay_client::Key;
    use std::net::Ipv4Addr;

    #[test]
    fn names_are_upstreams() {
        let port = PortName {
            service: Key::new("ns1", "svc1"),
            port: "p80".to_owned(),
            protocol: Protocol::Tcp,
        };
        assert_eq!(of_port(&port), "ULMVA6XW-ns1/svc1/tcp/p80");
        let endpoint = Endpoint::new(Ipv4Addr::new(10, 180, 0, 1), 80);
        assert_eq!(
            of_endpoint(&port, &endpoint),
            "5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80"
        );
    }
}
