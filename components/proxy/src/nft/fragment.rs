//! What one service contributes to the table.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::names::{of_endpoint, of_port};
use super::rule::{Rule, Verdict};
use crate::local::Local;
use crate::model::{Endpoint, Plan, Refusal};

/// Where elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    ClusterIps,
    ServiceIps,
    ServiceNodePorts,
    NoEndpointServices,
    NoEndpointNodePorts,
    FirewallIps,
    HairpinConnections,
}

impl Place {
    pub const ALL: [Self; 7] = [
        Self::ClusterIps,
        Self::ServiceIps,
        Self::ServiceNodePorts,
        Self::NoEndpointServices,
        Self::NoEndpointNodePorts,
        Self::FirewallIps,
        Self::HairpinConnections,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ClusterIps => "cluster-ips",
            Self::ServiceIps => "service-ips",
            Self::ServiceNodePorts => "service-nodeports",
            Self::NoEndpointServices => "no-endpoint-services",
            Self::NoEndpointNodePorts => "no-endpoint-nodeports",
            Self::FirewallIps => "firewall-ips",
            Self::HairpinConnections => "hairpin-connections",
        }
    }

    pub(super) fn is_map(self) -> bool {
        !matches!(self, Self::ClusterIps | Self::HairpinConnections)
    }
}

/// An element of a set, or the key of one of a map, as `10.0.0.1 . tcp . 80`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Element {
    pub place: Place,
    pub key: String,
}

/// What is there because of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    pub chains: BTreeMap<String, Vec<Rule>>,
    /// Sets that remember clients, with their seconds.
    pub affinities: BTreeMap<String, u32>,
    /// None for those of sets.
    pub elements: BTreeMap<Element, Option<Verdict>>,
}

/// What all services are written with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    pub local: Local,
    /// This node's address: where load balancers are for it, they are for themselves.
    pub node: Option<Ipv4Addr>,
}

impl Fragment {
    #[must_use]
    pub fn new(plans: &[Plan], around: &Surroundings) -> Self {
        let mut fragment = Self::default();
        for plan in plans {
            PortWriter::new(plan, around, &mut fragment).write();
        }
        fragment
    }

    fn element(&mut self, place: Place, key: String, verdict: Option<Verdict>) {
        self.elements.insert(Element { place, key }, verdict);
    }
}

/// Writes one port into its service's fragment.
struct PortWriter<'a> {
    plan: &'a Plan,
    around: &'a Surroundings,
    out: &'a mut Fragment,
    name: String,
}

impl<'a> PortWriter<'a> {
    fn new(plan: &'a Plan, around: &'a Surroundings, out: &'a mut Fragment) -> Self {
        let name = of_port(&plan.port.name);
        Self {
            plan,
            around,
            out,
            name,
        }
    }

    fn chain(&self, kind: &str) -> String {
        format!("{kind}-{}", self.name)
    }

    fn write(mut self) {
        self.endpoints();
        self.internal();
        if self.plan.forwards_external() {
            self.external_chain();
        }
        let port = &self.plan.port;
        for ip in port.external_ips.iter().chain(&port.balancers) {
            self.external(*ip);
        }
        if let Some(number) = port.node_port {
            self.node_port(number);
        }
        if !port.balancers.is_empty() && !port.sources.is_empty() {
            self.firewall();
        }
    }

    /// `10.0.0.1 . tcp . 80`
    fn address(&self, ip: Ipv4Addr) -> String {
        let port = &self.plan.port;
        format!("{ip} . {} . {}", port.name.protocol, port.port)
    }

    fn refusal(refusal: Refusal) -> Option<Verdict> {
        Some(match refusal {
            Refusal::Reject => Verdict::Goto("reject-chain".to_owned()),
            Refusal::Drop => Verdict::Drop,
        })
    }

    fn internal(&mut self) {
        let port = &self.plan.port;
        let ip = port.cluster_ip;
        self.out.element(Place::ClusterIps, ip.to_string(), None);
        let (key, refusal) = (self.address(ip), self.plan.internal_refusal());
        match refusal {
            Some(refusal) => {
                let verdict = Self::refusal(refusal);
                self.out.element(Place::NoEndpointServices, key, verdict);
            }
            None => {
                let kind = if port.internal_local {
                    "local"
                } else {
                    "service"
                };
                let verdict = Some(Verdict::Goto(self.chain(kind)));
                self.out.element(Place::ServiceIps, key, verdict);
            }
        }
    }

    /// An address outside of the cluster's.
    fn external(&mut self, ip: Ipv4Addr) {
        let key = self.address(ip);
        self.reached(Place::ServiceIps, Place::NoEndpointServices, key);
    }

    fn node_port(&mut self, number: u16) {
        let key = format!("{} . {number}", self.plan.port.name.protocol);
        self.reached(Place::ServiceNodePorts, Place::NoEndpointNodePorts, key);
    }

    fn reached(&mut self, place: Place, refused: Place, key: String) {
        if self.plan.has_endpoints {
            let verdict = Some(Verdict::Goto(self.chain("external")));
            self.out.element(place, key.clone(), verdict);
        }
        // With endpoints elsewhere: for what the chain did not send there, because it is not from here.
        if let Some(refusal) = self.plan.external_refusal() {
            self.out.element(refused, key, Self::refusal(refusal));
        }
    }

    fn external_chain(&mut self) {
        let port = &self.plan.port;
        let cluster = self.chain("service");
        let mut rules = Vec::new();
        if port.external_local {
            // What comes from here goes by neither policy, as if it went out to the load balancer and came back.
            if self.around.local != Local::Unknown {
                rules.push(Rule::GotoFromPods(
                    self.around.local.clone(),
                    cluster.clone(),
                ));
            }
            rules.push(Rule::MasqueradeOwn);
            rules.push(Rule::GotoFromNode(cluster.clone()));
        } else {
            rules.push(Rule::Masquerade);
        }
        if self.plan.external_refusal().is_none() {
            let kind = if port.external_local {
                "local"
            } else {
                "service"
            };
            rules.push(Rule::Goto(self.chain(kind)));
        }
        let name = self.chain("external");
        self.out.chains.insert(name, rules);
    }

    /// For balancers whose address this machine may have itself: what it sends to them has that source.
    fn firewall(&mut self) {
        let port = &self.plan.port;
        let node = self.around.node;
        let is_node_in = port
            .sources
            .iter()
            .any(|net| node.is_some_and(|ip| net.contains(&ip)));
        let own = match is_node_in {
            true => port.balancers.clone(),
            false => Vec::new(),
        };
        let chain = self.chain("firewall");
        for ip in &port.balancers {
            let (key, verdict) = (self.address(*ip), Verdict::Goto(chain.clone()));
            self.out.element(Place::FirewallIps, key, Some(verdict));
        }
        let rule = Rule::DropUnlessFrom(port.sources.clone(), own);
        self.out.chains.insert(chain, vec![rule]);
    }

    fn endpoints(&mut self) {
        let (plan, protocol) = (self.plan, self.plan.port.name.protocol);
        for end in plan.reachable().into_iter().filter(|end| end.local) {
            let (ip, port) = (end.address.ip(), end.address.port());
            let key = format!("{ip} . {ip} . {protocol} . {port}");
            self.out.element(Place::HairpinConnections, key, None);
        }
        for (kind, ends) in [("service", &plan.cluster), ("local", &plan.local)] {
            if ends.is_empty() {
                continue;
            }
            let rules = match plan.port.affinity {
                Some(_) => self.sticking(ends),
                None => vec![Self::to_one_of(plan, ends)],
            };
            let name = self.chain(kind);
            self.out.chains.insert(name, rules);
        }
        if let Some(seconds) = plan.port.affinity {
            for end in plan.reachable() {
                self.remembering(end, seconds);
            }
        }
    }

    fn to_one_of(plan: &Plan, ends: &[Endpoint]) -> Rule {
        let protocol = plan.port.name.protocol;
        match ends {
            [only] => Rule::Forward(protocol, only.address),
            [first, others @ ..] => {
                let port = first.address.port();
                match others.iter().all(|end| end.address.port() == port) {
                    true => {
                        let ips = ends.iter().map(|end| *end.address.ip());
                        Rule::Balance(protocol, ips.collect(), port)
                    }
                    false => {
                        let all = ends.iter().map(|end| end.address);
                        Rule::BalanceMixed(protocol, all.collect())
                    }
                }
            }
            [] => unreachable!("such a chain is not made"),
        }
    }

    fn sticking(&self, ends: &[Endpoint]) -> Vec<Rule> {
        let names = ends
            .iter()
            .map(|end| of_endpoint(&self.plan.port.name, end));
        let names: Vec<String> = names.collect();
        let stick = |name: &String| Rule::Stick {
            set: format!("affinity-{name}"),
            chain: format!("endpoint-{name}"),
        };
        let mut rules: Vec<Rule> = names.iter().map(stick).collect();
        let chains = names.iter().map(|name| format!("endpoint-{name}"));
        let mut chains: Vec<String> = chains.collect();
        rules.push(match chains.len() {
            1 => Rule::Goto(chains.remove(0)),
            _ => Rule::BalanceChains(chains),
        });
        rules
    }

    fn remembering(&mut self, end: &Endpoint, seconds: u32) {
        let name = of_endpoint(&self.plan.port.name, end);
        let set = format!("affinity-{name}");
        let protocol = self.plan.port.name.protocol;
        let rules = vec![
            Rule::Remember(set.clone()),
            Rule::Forward(protocol, end.address),
        ];
        self.out.chains.insert(format!("endpoint-{name}"), rules);
        self.out.affinities.insert(set, seconds);
    }
}
