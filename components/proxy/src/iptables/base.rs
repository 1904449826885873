//! What is there whatever services there are.

use std::net::Ipv4Addr;

use super::fragment::{List, Surroundings};

/// Settings of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Of packets to be masqueraded.
    pub mark: u32,
    /// Where node ports are served; None for every address of the node.
    pub node_ports: Option<Vec<Ipv4Addr>>,
    pub around: Surroundings,
}

/// A jump from one of the kernel's chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Jump {
    pub(super) table: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    new_only: bool,
    comment: &'static str,
}

const fn jump(
    table: &'static str,
    from: &'static str,
    to: &'static str,
    new_only: bool,
    comment: &'static str,
) -> Jump {
    Jump {
        table,
        from,
        to,
        new_only,
        comment,
    }
}

const EXTERNAL: &str = "kubernetes externally-visible service portals";
const PORTALS: &str = "kubernetes service portals";
const FIREWALL: &str = "kubernetes load balancer firewall";

pub(super) const JUMPS: [Jump; 12] = [
    jump("filter", "INPUT", "KUBE-EXTERNAL-SERVICES", true, EXTERNAL),
    jump(
        "filter",
        "FORWARD",
        "KUBE-EXTERNAL-SERVICES",
        true,
        EXTERNAL,
    ),
    jump(
        "filter",
        "INPUT",
        "KUBE-NODEPORTS",
        false,
        "kubernetes health check service ports",
    ),
    jump("filter", "FORWARD", "KUBE-SERVICES", true, PORTALS),
    jump("filter", "OUTPUT", "KUBE-SERVICES", true, PORTALS),
    jump(
        "filter",
        "FORWARD",
        "KUBE-FORWARD",
        false,
        "kubernetes forwarding rules",
    ),
    jump("filter", "INPUT", "KUBE-PROXY-FIREWALL", true, FIREWALL),
    jump("filter", "OUTPUT", "KUBE-PROXY-FIREWALL", true, FIREWALL),
    jump("filter", "FORWARD", "KUBE-PROXY-FIREWALL", true, FIREWALL),
    jump("nat", "OUTPUT", "KUBE-SERVICES", false, PORTALS),
    jump("nat", "PREROUTING", "KUBE-SERVICES", false, PORTALS),
    jump(
        "nat",
        "POSTROUTING",
        "KUBE-POSTROUTING",
        false,
        "kubernetes postrouting rules",
    ),
];

impl Jump {
    /// What follows `iptables -t TABLE -C FROM`.
    pub(super) fn rule(self) -> Vec<&'static str> {
        let mut rule = Vec::new();
        if self.new_only {
            rule.extend(["-m", "conntrack", "--ctstate", "NEW"]);
        }
        rule.extend(["-m", "comment", "--comment", self.comment, "-j", self.to]);
        rule
    }
}

/// Chains without lines of services.
pub(super) const FIXED: [(&str, &str); 3] = [
    ("filter", "KUBE-FORWARD"),
    ("nat", "KUBE-POSTROUTING"),
    ("nat", "KUBE-MARK-MASQ"),
];

impl Base {
    /// Rules of the chains that have no lines of services, with their tables and chains.
    pub(super) fn fixed(&self) -> Vec<(&'static str, &'static str, String)> {
        let mark = format!("{:#010x}", self.mark);
        let forward = "-m comment --comment \"kubernetes forwarding rules\"";
        let known = "-m comment --comment \"kubernetes forwarding conntrack rule\"";
        let snat = "-m comment --comment \"kubernetes service traffic requiring SNAT\"";
        let (filter, nat, forwarding) = ("filter", "nat", "KUBE-FORWARD");
        vec![
            // Else an answer out of its order would end a connection.
            (
                filter,
                forwarding,
                "-m conntrack --ctstate INVALID -j DROP".to_owned(),
            ),
            (
                filter,
                forwarding,
                format!("{forward} -m mark --mark {mark}/{mark} -j ACCEPT"),
            ),
            (
                filter,
                forwarding,
                format!("{known} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
            ),
            (
                nat,
                "KUBE-POSTROUTING",
                format!("-m mark ! --mark {mark}/{mark} -j RETURN"),
            ),
            (
                nat,
                "KUBE-POSTROUTING",
                format!("-j MARK --xor-mark {mark}"),
            ),
            (
                nat,
                "KUBE-POSTROUTING",
                format!("{snat} -j MASQUERADE --random-fully"),
            ),
            (nat, "KUBE-MARK-MASQ", format!("-j MARK --or-mark {mark}")),
        ]
    }

    /// Rules behind the lines of all services.
    pub(super) fn last(&self, list: List) -> Vec<String> {
        if list != List::NatServices {
            return Vec::new();
        }
        let why = "-m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\"";
        let to = "-j KUBE-NODEPORTS";
        match &self.node_ports {
            None => {
                let here = "-m addrtype --dst-type LOCAL ! -d 127.0.0.0/8";
                vec![format!("{why} {here} {to}")]
            }
            Some(ips) => ips.iter().map(|ip| format!("{why} -d {ip} {to}")).collect(),
        }
    }
}
