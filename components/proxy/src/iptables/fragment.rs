//! What one service contributes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::names::{of_endpoint, of_port};
use crate::local::Local;
use crate::model::{Endpoint, Plan, Refusal};

/// Chains that have lines of all services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    NatServices,
    NatNodePorts,
    FilterServices,
    FilterExternal,
    FilterNodePorts,
    FilterFirewall,
}

impl List {
    pub const ALL: [Self; 6] = [
        Self::NatServices,
        Self::NatNodePorts,
        Self::FilterServices,
        Self::FilterExternal,
        Self::FilterNodePorts,
        Self::FilterFirewall,
    ];

    pub(super) fn chain(self) -> &'static str {
        match self {
            Self::NatServices | Self::FilterServices => "KUBE-SERVICES",
            Self::NatNodePorts | Self::FilterNodePorts => "KUBE-NODEPORTS",
            Self::FilterExternal => "KUBE-EXTERNAL-SERVICES",
            Self::FilterFirewall => "KUBE-PROXY-FIREWALL",
        }
    }

    pub(super) fn is_nat(self) -> bool {
        matches!(self, Self::NatServices | Self::NatNodePorts)
    }
}

/// What is there because of one service: rules without their chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    pub chains: BTreeMap<String, Vec<String>>,
    pub lists: BTreeMap<List, Vec<String>>,
}

/// What all services are written with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    pub local: Local,
    pub masquerade_all: bool,
    /// This node's address: where load balancers are for it, they are for themselves.
    pub node: Option<Ipv4Addr>,
}

impl Fragment {
    #[must_use]
    pub fn new(plans: &[Plan], around: &Surroundings) -> Self {
        let mut fragment = Self::default();
        for plan in plans {
            let hash = of_port(&plan.port.name);
            let out = &mut fragment;
            let writer = PortWriter {
                plan,
                around,
                out,
                hash,
            };
            writer.write();
        }
        fragment
    }
}

/// Writes one port into its service's fragment.
struct PortWriter<'a> {
    plan: &'a Plan,
    around: &'a Surroundings,
    out: &'a mut Fragment,
    hash: String,
}

fn comment(text: &str) -> String {
    format!("-m comment --comment \"{text}\"")
}

impl PortWriter<'_> {
    fn write(mut self) {
        self.internal();
        let port = &self.plan.port;
        let external = self.chain("EXT");
        let is_guarded = !port.balancers.is_empty() && !port.sources.is_empty();
        for ip in &port.external_ips {
            self.external(*ip, "external IP", &external);
        }
        for ip in &port.balancers {
            let to = if is_guarded {
                self.chain("FW")
            } else {
                external.clone()
            };
            self.external(*ip, "loadbalancer IP", &to);
            if is_guarded && self.plan.has_endpoints {
                let why = format!("{} traffic not accepted by {to}", port.name);
                let rule = format!("{} {} -j DROP", comment(&why), self.matches(*ip));
                self.line(List::FilterFirewall, rule);
            }
        }
        if let Some(number) = port.node_port {
            self.node_port(number, &external);
        }
        if let Some(number) = port.health_port {
            let why = comment(&format!("{} health check node port", port.name));
            let rule = format!("{why} -m tcp -p tcp --dport {number} -j ACCEPT");
            self.line(List::FilterNodePorts, rule);
        }
        if self.plan.forwards_external() {
            self.external_chain(external.clone());
            if is_guarded {
                self.firewall(&external);
            }
        }
        self.endpoints();
    }

    fn chain(&self, kind: &str) -> String {
        format!("KUBE-{kind}-{}", self.hash)
    }

    fn policy_chain(&self, is_local: bool) -> String {
        self.chain(if is_local { "SVL" } else { "SVC" })
    }

    fn line(&mut self, list: List, rule: String) {
        self.out.lists.entry(list).or_default().push(rule);
    }

    fn protocol(&self) -> String {
        let protocol = self.plan.port.name.protocol;
        format!("-m {protocol} -p {protocol}")
    }

    fn matches(&self, ip: Ipv4Addr) -> String {
        format!(
            "{} -d {ip} --dport {}",
            self.protocol(),
            self.plan.port.port
        )
    }

    /// Why packets are refused, and what becomes of them.
    fn refused(&self, refusal: Refusal) -> (String, &'static str) {
        let name = &self.plan.port.name;
        match refusal {
            Refusal::Reject => (comment(&format!("{name} has no endpoints")), "REJECT"),
            Refusal::Drop => (comment(&format!("{name} has no local endpoints")), "DROP"),
        }
    }

    fn internal(&mut self) {
        let port = &self.plan.port;
        let matches = self.matches(port.cluster_ip);
        if let Some(refusal) = self.plan.internal_refusal() {
            let (why, target) = self.refused(refusal);
            return self.line(List::FilterServices, format!("{why} {matches} -j {target}"));
        }
        let why = comment(&format!("{} cluster IP", port.name));
        let chain = self.policy_chain(port.internal_local);
        self.line(List::NatServices, format!("{why} {matches} -j {chain}"));
    }

    /// In front of the chain of the policy for the cluster's traffic: what comes from outside may have been routed to
    /// any node, and its answer must come back by the same.
    fn masquerade(&self) -> Option<String> {
        let port = &self.plan.port;
        let outside = match self.around.masquerade_all {
            true => String::new(),
            false => format!(" {}", self.around.local.iptables(false)?),
        };
        let why = comment(&format!("{} cluster IP", port.name));
        let matches = self.matches(port.cluster_ip);
        Some(format!("{why} {matches}{outside} -j KUBE-MARK-MASQ"))
    }

    fn external(&mut self, ip: Ipv4Addr, what: &str, to: &str) {
        let matches = self.matches(ip);
        if self.plan.has_endpoints {
            let why = comment(&format!("{} {what}", self.plan.port.name));
            self.line(List::NatServices, format!("{why} {matches} -j {to}"));
        }
        if let Some(refusal) = self.plan.external_refusal() {
            let (why, target) = self.refused(refusal);
            self.line(List::FilterExternal, format!("{why} {matches} -j {target}"));
        }
    }

    fn node_port(&mut self, number: u16, to: &str) {
        let matches = format!("{} --dport {number}", self.protocol());
        if self.plan.has_endpoints {
            let why = comment(&self.plan.port.name.to_string());
            self.line(List::NatNodePorts, format!("{why} {matches} -j {to}"));
        }
        if let Some(refusal) = self.plan.external_refusal() {
            let (why, target) = self.refused(refusal);
            let here = "-m addrtype --dst-type LOCAL";
            self.line(
                List::FilterExternal,
                format!("{why} {here} {matches} -j {target}"),
            );
        }
    }

    fn external_chain(&mut self, chain: String) {
        let name = &self.plan.port.name;
        let cluster = self.policy_chain(false);
        let mut rules = Vec::new();
        if self.plan.port.external_local {
            // What comes from here goes by neither policy, as if it went out to the load balancer and came back.
            if let Some(pods) = self.around.local.iptables(true) {
                let why = comment(&format!("pod traffic for {name} external destinations"));
                rules.push(format!("{why} {pods} -j {cluster}"));
            }
            let own = "-m addrtype --src-type LOCAL";
            let why = comment(&format!(
                "masquerade LOCAL traffic for {name} external destinations"
            ));
            rules.push(format!("{why} {own} -j KUBE-MARK-MASQ"));
            let why = comment(&format!(
                "route LOCAL traffic for {name} external destinations"
            ));
            rules.push(format!("{why} {own} -j {cluster}"));
        } else {
            let why = comment(&format!(
                "masquerade traffic for {name} external destinations"
            ));
            rules.push(format!("{why} -j KUBE-MARK-MASQ"));
        }
        if self.plan.external_refusal().is_none() {
            let to = self.policy_chain(self.plan.port.external_local);
            rules.push(format!("-j {to}"));
        }
        self.out.chains.insert(chain, rules);
    }

    /// What reaches the end of this chain is not forwarded, and dropped in `KUBE-PROXY-FIREWALL`.
    fn firewall(&mut self, to: &str) {
        let port = &self.plan.port;
        let why = comment(&format!("{} loadbalancer IP", port.name));
        let mut sources: Vec<String> = port.sources.iter().map(ToString::to_string).collect();
        let node = self.around.node;
        // For balancers whose address this machine may have itself: what it sends to them has that source.
        if port
            .sources
            .iter()
            .any(|net| node.is_some_and(|ip| net.contains(&ip)))
        {
            sources.extend(port.balancers.iter().map(ToString::to_string));
        }
        let rules = sources
            .iter()
            .map(|source| format!("{why} -s {source} -j {to}"));
        let chain = self.chain("FW");
        self.out.chains.insert(chain, rules.collect());
    }

    fn endpoints(&mut self) {
        let plan = self.plan;
        for (is_local, ends) in [(false, &plan.cluster), (true, &plan.local)] {
            if ends.is_empty() {
                continue;
            }
            let mut rules = Vec::new();
            let is_internal = plan.port.internal_local == is_local;
            rules.extend(self.masquerade().filter(|_| is_internal));
            self.balance(ends, &mut rules);
            let chain = self.policy_chain(is_local);
            self.out.chains.insert(chain, rules);
        }
        for end in plan.reachable() {
            self.endpoint(end);
        }
    }

    fn balance(&self, ends: &[Endpoint], rules: &mut Vec<String>) {
        let name = &self.plan.port.name;
        let named = |end: &Endpoint| (comment(&format!("{name} -> {end}")), of_endpoint(name, end));
        if let Some(seconds) = self.plan.port.affinity {
            for end in ends {
                let (why, chain) = named(end);
                rules.push(format!(
                    "{why} -m recent --name {chain} --rcheck --seconds {seconds} --reap -j {chain}"
                ));
            }
        }
        for (left, end) in (1..=ends.len()).rev().zip(ends) {
            let (why, chain) = named(end);
            let chance = match left {
                1 => String::new(),
                left => format!(
                    " -m statistic --mode random --probability {:.10}",
                    1.0 / f64::from(u32::try_from(left).unwrap_or(u32::MAX))
                ),
            };
            rules.push(format!("{why}{chance} -j {chain}"));
        }
    }

    fn endpoint(&mut self, end: &Endpoint) {
        let name = &self.plan.port.name;
        let (why, chain) = (comment(&name.to_string()), of_endpoint(name, end));
        let recent = match self.plan.port.affinity {
            Some(_) => format!(" -m recent --name {chain} --set"),
            None => String::new(),
        };
        let rules = vec![
            // One that comes to itself by way of its service must not see its own address.
            format!("{why} -s {} -j KUBE-MARK-MASQ", end.address.ip()),
            format!(
                "{why}{recent} {} -j DNAT --to-destination {end}",
                self.protocol()
            ),
        ];
        self.out.chains.insert(chain, rules);
    }
}
