//! The configuration of the CNI plugins that give pods their links.

use ipnet::Ipv4Net;
use serde_json::json;

/// Where the addresses that are taken are noted: gone when the host was off, as then the pods are.
pub(super) const TAKEN: &str = "/run/mainstay/cni";

/// A link for each pod, routed rather than bridged: every packet between pods passes the node's rules, also when a
/// pod reaches itself by a service, or its neighbour.
pub(super) fn conflist(pods: Ipv4Net, mtu: u32) -> String {
    let list = json!({
        "cniVersion": "1.0.0",
        "name": "mainstay",
        "plugins": [
            {
                "type": "ptp",
                "mtu": mtu,
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": TAKEN,
                    "ranges": [[{"subnet": pods.to_string()}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
        ],
    });
    format!("{list:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_get_addresses_of_their_node() {
        let list = conflist("10.244.1.0/24".parse().expect("a range"), 1450);
        let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
        let first = &list["plugins"][0];
        assert_eq!(first["ipam"]["ranges"][0][0]["subnet"], "10.244.1.0/24");
        assert_eq!(first["mtu"], 1450);
        assert_eq!(list["plugins"][1]["type"], "portmap");
    }
}
