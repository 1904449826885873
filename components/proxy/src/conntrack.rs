//! UDP flows that still go to endpoints which are gone: the kernel sends the packets of a flow where its first one
//! went, and who sends again and again never begins a new one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use mainstay_client::Key;

use crate::command::{CommandError, run};
use crate::model::{Plan, Protocol};

/// Where UDP services are reached, and who answers there. Services without anybody who answers are left out:
/// their flows may as well stay.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fronts {
    addresses: HashMap<SocketAddrV4, HashSet<SocketAddrV4>>,
    node_ports: HashMap<u16, HashSet<SocketAddrV4>>,
}

impl Fronts {
    #[must_use]
    pub(crate) fn new(services: &[(Key, Vec<Plan>)]) -> Self {
        let mut fronts = Self::default();
        let plans = services.iter().flat_map(|(_, plans)| plans);
        for plan in plans.filter(|plan| plan.port.name.protocol == Protocol::Udp) {
            let serving = plan.all.iter().filter(|end| end.serving);
            let serving: HashSet<SocketAddrV4> = serving.map(|end| end.address).collect();
            if serving.is_empty() {
                continue;
            }
            let port = &plan.port;
            let ips = port.external_ips.iter().chain(&port.balancers);
            for ip in ips.chain([&port.cluster_ip]) {
                let front = SocketAddrV4::new(*ip, port.port);
                fronts.addresses.insert(front, serving.clone());
            }
            if let Some(number) = port.node_port {
                fronts.node_ports.insert(number, serving);
            }
        }
        fronts
    }

    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.node_ports.is_empty()
    }

    fn is_stale(&self, flow: &Flow) -> bool {
        let ends = self.addresses.get(&flow.to);
        let ends = ends.or_else(|| self.node_ports.get(&flow.to.port()));
        ends.is_some_and(|ends| !ends.contains(&flow.answers))
    }

    /// What is to be deleted of what `conntrack -L` printed.
    #[must_use]
    pub(crate) fn stale(&self, listed: &str) -> BTreeSet<Flow> {
        let flows = listed.lines().filter_map(Flow::read);
        flows.filter(|flow| self.is_stale(flow)).collect()
    }
}

/// All flows between these, whoever began them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow {
    /// Where the first packet was sent.
    pub(crate) to: SocketAddrV4,
    /// Who answers.
    pub(crate) answers: SocketAddrV4,
}

impl Flow {
    fn read(line: &str) -> Option<Self> {
        let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, value) in line
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
        {
            fields.entry(name).or_default().push(value);
        }
        // Those of the first packet, then those of the answer.
        let at = |ip: &str, port: &str, way: usize| {
            let ip: Ipv4Addr = fields.get(ip)?.get(way)?.parse().ok()?;
            Some(SocketAddrV4::new(
                ip,
                fields.get(port)?.get(way)?.parse().ok()?,
            ))
        };
        Some(Self {
            to: at("dst", "dport", 0)?,
            answers: at("src", "sport", 1)?,
        })
    }
}

/// Deletes flows to who is gone; how many kinds of them there were.
///
/// # Errors
/// Returns what the program `conntrack` complained of.
pub(crate) fn clean(fronts: &Fronts) -> Result<usize, CommandError> {
    if fronts.is_empty() {
        return Ok(0);
    }
    let listed = run("conntrack", &["-L", "-f", "ipv4", "-p", "udp"], "")?;
    let stale = fronts.stale(&listed);
    for Flow { to, answers } in &stale {
        let (ip, port) = (to.ip().to_string(), to.port().to_string());
        let (from, from_port) = (answers.ip().to_string(), answers.port().to_string());
        #[rustfmt::skip]
        let flags = [
            "-D", "-f", "ipv4", "-p", "udp", "--orig-dst", &ip, "--orig-port-dst", &port,
            "--reply-src", &from, "--reply-port-src", &from_port,
        ];
        match run("conntrack", &flags, "") {
            Ok(_) => {}
            // It ended by itself meanwhile.
            Err(CommandError::Failed { complaint, .. }) if complaint.contains("0 flow entries") => {
            }
            Err(error) => return Err(error),
        }
    }
    Ok(stale.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, PortName, ServicePort};

    #[test]
    fn flows_to_who_is_gone_are_found() {
        let ends = |numbers: &[u8]| {
            let end = |number: &u8| Endpoint::new(Ipv4Addr::new(10, 1, 0, *number), 53);
            numbers.iter().map(end).collect()
        };
        let port = ServicePort {
            name: PortName {
                service: Key::new("a", "dns"),
                port: String::new(),
                protocol: Protocol::Udp,
            },
            cluster_ip: Ipv4Addr::new(10, 96, 0, 10),
            port: 53,
            node_port: Some(30053),
            external_ips: Vec::new(),
            balancers: Vec::new(),
            sources: Vec::new(),
            affinity: None,
            internal_local: false,
            external_local: false,
            health_port: None,
        };
        let plans = |numbers| {
            vec![(
                Key::new("a", "dns"),
                vec![Plan::new(port.clone(), ends(numbers), "")],
            )]
        };
        let listed = "\
udp      17 29 src=10.2.0.1 dst=10.96.0.10 sport=4001 dport=53 src=10.1.0.1 dst=10.2.0.1 sport=53 dport=4001 mark=0 use=1
udp      17 29 src=10.2.0.1 dst=10.96.0.10 sport=4002 dport=53 src=10.1.0.2 dst=10.2.0.1 sport=53 dport=4002 [ASSURED] mark=0 use=1
udp      17 29 src=10.2.0.1 dst=10.96.0.10 sport=4003 dport=53 [UNREPLIED] src=10.96.0.10 dst=10.2.0.1 sport=53 dport=4003 mark=0 use=1
udp      17 29 src=10.9.0.1 dst=172.16.0.1 sport=4004 dport=30053 src=10.1.0.2 dst=172.16.0.1 sport=53 dport=9 mark=0 use=1
udp      17 29 src=10.9.0.1 dst=8.8.8.8 sport=4005 dport=53 src=8.8.8.8 dst=172.16.0.1 sport=53 dport=4005 mark=0 use=1
";
        let found = Fronts::new(&plans(&[1])).stale(listed);
        let told: Vec<String> = found
            .iter()
            .map(|f| format!("{} {}", f.to, f.answers))
            .collect();
        assert_eq!(
            told,
            [
                "10.96.0.10:53 10.1.0.2:53",
                // Sent while there was nobody, and never forwarded since.
                "10.96.0.10:53 10.96.0.10:53",
                "172.16.0.1:30053 10.1.0.2:53",
            ]
        );
        assert!(
            Fronts::new(&plans(&[])).is_empty(),
            "nobody else would answer"
        );
        assert_eq!(Fronts::new(&plans(&[1, 2])).stale(listed).len(), 1);
    }
}
