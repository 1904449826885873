//! Names of chains: 28 characters at most.

use crate::model::{Endpoint, PortName};
use crate::names::hash;

/// What the chains of one port have in common.
pub(super) fn of_port(port: &PortName) -> String {
    hash(&format!("{port}{}", port.protocol), 16)
}

pub(super) fn of_endpoint(port: &PortName, end: &Endpoint) -> String {
    let hash = hash(&format!("{port}{}{end}", port.protocol), 16);
    format!("KUBE-SEP-{hash}")
}

/// Whether a chain is one of a service's.
pub(super) fn is_of_service(chain: &str) -> bool {
    let kinds = [
        "KUBE-SVC-",
        "KUBE-SVL-",
        "KUBE-SEP-",
        "KUBE-FW-",
        "KUBE-EXT-",
    ];
    kinds.iter().any(|kind| chain.starts_with(kind))
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
        assert_eq!(of_port(&port), "XPGD46QRK7WJZT7O");
        let end = Endpoint::new(Ipv4Addr::new(10, 180, 0, 1), 80);
        assert_eq!(of_endpoint(&port, &end), "KUBE-SEP-SXIVWICOYRO3J4NJ");
    }
}
