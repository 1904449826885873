//! What the kernel of one host should know, decided from what is known of all nodes. Pure.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::nodes::Peer;
use crate::limits::VXLAN_OVERHEAD;

/// How to get to nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Way {
    /// Routes where the other node is on the same segment, VXLAN otherwise.
    Auto,
    /// VXLAN always.
    Vxlan,
}

/// The host that plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    /// Its node's name; masters may have no node.
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
    /// The segment it is on.
    pub(super) segment: Ipv4Net,
    /// Its link to that segment.
    pub(super) link: String,
    /// Of that link.
    pub(super) mtu: u32,
}

/// A route to the pods of another node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    pub(super) pods: Ipv4Net,
    pub(super) via: Ipv4Addr,
    /// Through the VXLAN.
    pub(super) tunnel: bool,
}

/// Another end of the VXLAN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End {
    /// Of the VXLAN's own addresses: the first one of the node's pods.
    pub(super) inner: Ipv4Addr,
    pub(super) mac: String,
    pub(super) outer: Ipv4Addr,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Range of the own pods.
    pub(super) pods: Option<Ipv4Net>,
    /// Of the links of pods.
    pub(super) mtu: u32,
    pub(super) routes: Vec<Route>,
    /// Other ends; empty if there is no VXLAN.
    pub(super) ends: Vec<End>,
}

/// Decides. Of nodes with the same range, which cannot both be right, the first by name counts.
pub(super) fn plan(own: &Own, way: Way, peers: &[Peer]) -> Plan {
    let mut peers: Vec<&Peer> = peers.iter().collect();
    peers.sort_by(|one, other| one.name.cmp(&other.name));
    let pods = peers
        .iter()
        .find(|peer| peer.name == own.name)
        .map(|peer| peer.pods);
    let (mut routes, mut ends): (Vec<Route>, Vec<End>) = (Vec::new(), Vec::new());
    for peer in peers.into_iter().filter(|peer| peer.name != own.name) {
        let known = routes.iter().any(|route| route.pods == peer.pods);
        if known || Some(peer.pods) == pods || peer.address == own.address {
            continue;
        }
        let tunnel = way == Way::Vxlan || !own.segment.contains(&peer.address);
        let via = match tunnel {
            true => peer.pods.network(),
            false => peer.address,
        };
        if tunnel {
            ends.push(End {
                inner: via,
                mac: mac(peer.address),
                outer: peer.address,
            });
        }
        routes.push(Route {
            pods: peer.pods,
            via,
            tunnel,
        });
    }
    routes.sort();
    ends.sort();
    let overhead = match ends.is_empty() {
        true => 0,
        false => VXLAN_OVERHEAD,
    };
    Plan {
        pods,
        mtu: own.mtu.saturating_sub(overhead),
        routes,
        ends,
    }
}

/// The hardware address of a node's end of the VXLAN: a locally administered one, and the node's address.
pub(super) fn mac(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("0e:6d:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str, address: &str, pods: &str) -> Peer {
        Peer {
            name: name.to_owned(),
            address: address.parse().expect("an address"),
            pods: pods.parse().expect("a range"),
        }
    }

    fn own(name: &str) -> Own {
        Own {
            name: name.to_owned(),
            address: "10.240.0.101".parse().expect("an address"),
            segment: "10.240.0.101/24".parse().expect("a segment"),
            link: "eth0".to_owned(),
            mtu: 1500,
        }
    }

    fn nodes() -> Vec<Peer> {
        vec![
            peer("c", "192.168.7.3", "10.244.3.0/24"),
            peer("a", "10.240.0.101", "10.244.1.0/24"),
            peer("b", "10.240.0.102", "10.244.2.0/24"),
        ]
    }

    fn described(plan: &Plan) -> Vec<String> {
        let routes = plan.routes.iter();
        let each = routes.map(|route| {
            let how = if route.tunnel { "tunnel" } else { "segment" };
            format!("{} via {} {how}", route.pods, route.via)
        });
        each.collect()
    }

    #[test]
    fn routes_on_the_segment_and_a_tunnel_beyond_it() {
        let plan = plan(&own("a"), Way::Auto, &nodes());
        assert_eq!(plan.pods, Some("10.244.1.0/24".parse().expect("a range")));
        assert_eq!(
            described(&plan),
            [
                "10.244.2.0/24 via 10.240.0.102 segment",
                "10.244.3.0/24 via 10.244.3.0 tunnel",
            ]
        );
        assert_eq!(plan.ends.len(), 1);
        assert_eq!(plan.ends[0].mac, "0e:6d:c0:a8:07:03");
        assert_eq!(plan.mtu, 1450);
    }

    #[test]
    fn a_tunnel_to_everybody_if_that_is_wanted() {
        let plan = plan(&own("a"), Way::Vxlan, &nodes());
        assert!(plan.routes.iter().all(|route| route.tunnel));
        assert_eq!(plan.ends.len(), 2);
    }

    #[test]
    fn a_host_without_a_node_has_routes_and_no_pods() {
        let mut own = own("master-1");
        own.address = "10.240.0.11".parse().expect("an address");
        let plan = plan(&own, Way::Auto, &nodes()[1..]);
        assert_eq!((plan.pods, plan.mtu), (None, 1500));
        assert_eq!(plan.routes.len(), 2);
    }

    #[test]
    fn a_range_that_two_nodes_have_goes_to_one() {
        let mut nodes = nodes();
        nodes.push(peer("d", "10.240.0.104", "10.244.2.0/24"));
        nodes.push(peer("e", "10.240.0.105", "10.244.1.0/24"));
        let plan = plan(&own("a"), Way::Auto, &nodes);
        assert_eq!(plan.routes.len(), 2, "{:?}", described(&plan));
    }
}
