//! What is in the table whatever services there are.

use std::net::Ipv4Addr;

use super::TABLE;
use super::fragment::{Place, Surroundings};
use super::transaction::Transaction;

/// Settings of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Of packets to be masqueraded.
    pub mark: u32,
    /// Whether all that goes to cluster IPs is masqueraded.
    pub masquerade_all: bool,
    /// Where node ports are served; None for every address of the node.
    pub node_ports: Option<Vec<Ipv4Addr>>,
    pub around: Surroundings,
}

/// Chains that the kernel runs, with their kind, hook and priority. Who may come to load balancers is asked before
/// destinations are changed, everything else after.
const HOOKS: [(&str, &str, &str, i32); 8] = [
    ("filter-prerouting-pre-dnat", "filter", "prerouting", -110),
    ("filter-output-pre-dnat", "filter", "output", -110),
    ("filter-input", "filter", "input", 0),
    ("filter-forward", "filter", "forward", 0),
    ("filter-output", "filter", "output", 0),
    ("nat-prerouting", "nat", "prerouting", -100),
    ("nat-output", "nat", "output", -100),
    ("nat-postrouting", "nat", "postrouting", 100),
];

/// From which of them each other chain is jumped to.
const JUMPS: [(&str, &str, &str); 11] = [
    (
        "filter-input",
        "ct state new jump ",
        "nodeport-endpoints-check",
    ),
    (
        "filter-input",
        "ct state new jump ",
        "service-endpoints-check",
    ),
    (
        "filter-forward",
        "ct state new jump ",
        "service-endpoints-check",
    ),
    (
        "filter-output",
        "ct state new jump ",
        "service-endpoints-check",
    ),
    (
        "filter-prerouting-pre-dnat",
        "ct state new jump ",
        "firewall-check",
    ),
    (
        "filter-output-pre-dnat",
        "ct state new jump ",
        "firewall-check",
    ),
    ("nat-output", "jump ", "services"),
    ("nat-prerouting", "jump ", "services"),
    ("nat-postrouting", "jump ", "masquerading"),
    ("filter-forward", "ct state new jump ", "cluster-ips-check"),
    ("filter-output", "ct state new jump ", "cluster-ips-check"),
];

const CHAINS: [&str; 7] = [
    "nodeport-endpoints-check",
    "service-endpoints-check",
    "firewall-check",
    "services",
    "masquerading",
    "cluster-ips-check",
    "reject-chain",
];

const NODE_PORT_IPS: &str = "nodeport-ips";

impl Place {
    fn kind(self) -> &'static str {
        match self {
            Self::ClusterIps => "ipv4_addr",
            Self::HairpinConnections => "ipv4_addr . ipv4_addr . inet_proto . inet_service",
            Self::ServiceIps | Self::NoEndpointServices | Self::FirewallIps => {
                "ipv4_addr . inet_proto . inet_service : verdict"
            }
            Self::ServiceNodePorts | Self::NoEndpointNodePorts => {
                "inet_proto . inet_service : verdict"
            }
        }
    }
}

impl Base {
    /// Makes it, or makes it anew: its chains are emptied and filled, its sets and maps are emptied.
    pub(super) fn write(&self, tx: &mut Transaction) {
        tx.first(format!("add table {TABLE}"));
        // A chain of the kernel's that is there with another priority would be refused.
        for (name, ..) in HOOKS {
            tx.first(format!("add chain {TABLE} {name}"));
            tx.first(format!("delete chain {TABLE} {name}"));
        }
        for (name, kind, hook, priority) in HOOKS {
            tx.first(format!(
                "add chain {TABLE} {name} {{ type {kind} hook {hook} priority {priority} ; }}"
            ));
        }
        for name in CHAINS {
            tx.first(format!("add chain {TABLE} {name}"));
            tx.first(format!("flush chain {TABLE} {name}"));
        }
        for place in Place::ALL {
            let (name, kind) = (place.name(), place.kind());
            let what = if place.is_map() { "map" } else { "set" };
            tx.first(format!("add {what} {TABLE} {name} {{ type {kind} ; }}"));
            tx.first(format!("flush {what} {TABLE} {name}"));
        }
        let set = NODE_PORT_IPS;
        tx.first(format!("add set {TABLE} {set} {{ type ipv4_addr ; }}"));
        tx.first(format!("flush set {TABLE} {set}"));
        for ip in self.node_ports.iter().flatten() {
            tx.add_element(NODE_PORT_IPS, ip);
        }
        for (chain, rule) in self.rules() {
            tx.first(format!("add rule {TABLE} {chain} {rule}"));
        }
    }

    /// How many rules are in each chain of these.
    pub(super) fn counts(&self) -> Vec<(&'static str, usize)> {
        let rules = self.rules();
        let count = |name| rules.iter().filter(|(chain, _)| *chain == name).count();
        let hooks = HOOKS.iter().map(|(name, ..)| *name);
        hooks
            .chain(CHAINS)
            .map(|name| (name, count(name)))
            .collect()
    }

    /// Addresses in the set of those that serve node ports.
    pub(super) fn node_port_ips(&self) -> (&'static str, &[Ipv4Addr]) {
        (
            NODE_PORT_IPS,
            self.node_ports.as_deref().unwrap_or_default(),
        )
    }

    fn rules(&self) -> Vec<(&'static str, String)> {
        let jump = |(from, how, to): (&'static str, &str, &str)| (from, format!("{how}{to}"));
        let mut rules: Vec<(&str, String)> = JUMPS.into_iter().map(jump).collect();
        let mark = format!("{:#010x}", self.mark);
        rules.push((
            "masquerading",
            format!("mark and {mark} != 0 mark set mark xor {mark} masquerade fully-random"),
        ));
        // An endpoint that came to itself by way of its service must not see its own address.
        rules.push((
            "masquerading",
            "ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random"
                .to_owned(),
        ));
        rules.push((
            "cluster-ips-check",
            "ip daddr @cluster-ips reject comment \"Reject traffic to invalid ports of ClusterIPs\""
                .to_owned(),
        ));
        rules.push(("reject-chain", "reject".to_owned()));
        let address = "ip daddr . meta l4proto . th dport vmap";
        rules.push((
            "service-endpoints-check",
            format!("{address} @no-endpoint-services"),
        ));
        rules.push(("firewall-check", format!("{address} @firewall-ips")));
        let (to_node, from_node) = match self.node_ports {
            Some(_) => ("ip daddr @nodeport-ips", "ip daddr @nodeport-ips"),
            None => (
                "ip daddr != 127.0.0.0/8",
                "fib daddr type local ip daddr != 127.0.0.0/8",
            ),
        };
        rules.push((
            "nodeport-endpoints-check",
            format!("{to_node} meta l4proto . th dport vmap @no-endpoint-nodeports"),
        ));
        rules.extend(self.masquerade_rule(&mark).map(|rule| ("services", rule)));
        rules.push(("services", format!("{address} @service-ips")));
        rules.push((
            "services",
            format!("{from_node} meta l4proto . th dport vmap @service-nodeports"),
        ));
        rules
    }

    /// What comes from outside may have been routed to any node, and its answer must come back by the same.
    fn masquerade_rule(&self, mark: &str) -> Option<String> {
        let act = format!("mark set mark or {mark} comment");
        if self.masquerade_all {
            let why = "masquerade all clusterIP traffic";
            return Some(format!("ip daddr @cluster-ips {act} \"{why}\""));
        }
        let outside = self.around.local.nft(false)?;
        let why = "masquerade clusterIP traffic from outside cluster";
        Some(format!("ip daddr @cluster-ips {outside} {act} \"{why}\""))
    }
}
