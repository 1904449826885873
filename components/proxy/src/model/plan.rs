//! Which endpoints a port of a service uses on this node.

use super::endpoint::Endpoint;
use super::service::ServicePort;

/// What is to be programmed for one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub port: ServicePort,
    /// For traffic by the policy "Cluster".
    pub cluster: Vec<Endpoint>,
    /// For traffic by the policy "Local".
    pub local: Vec<Endpoint>,
    /// Whether anybody answers anywhere.
    pub has_endpoints: bool,
    /// All that answer or could, for what depends on neither policy.
    pub all: Vec<Endpoint>,
}

/// What becomes of packets that no endpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody answers: clients are told so at once.
    Reject,
    /// Somebody answers, but not on this node.
    Drop,
}

impl Plan {
    /// Decides by upstream's rules: ready endpoints; where there are none, those that are about to end but still
    /// answer; hints of zones and nodes only where every ready endpoint has them and one of them is meant for here.
    #[must_use]
    pub fn new(port: ServicePort, all: Vec<Endpoint>, zone: &str) -> Self {
        let mut cluster = Vec::new();
        if port.uses_cluster() {
            let preference = Preference::of(&all, zone);
            cluster = chosen(&all, |end| end.ready && preference.allows(end, zone));
            if cluster.is_empty() {
                cluster = chosen(&all, Endpoint::is_last_resort);
            }
        }
        let mut has_endpoints = !cluster.is_empty();
        let mut local = Vec::new();
        if port.uses_local() {
            has_endpoints |= all.iter().any(|end| end.ready || end.is_last_resort());
            local = chosen(&all, |end| end.local && end.ready);
            if local.is_empty() {
                local = chosen(&all, |end| end.local && end.is_last_resort());
            }
        }
        Self {
            port,
            cluster,
            local,
            has_endpoints,
            all,
        }
    }

    /// All endpoints that traffic may go to from here, in order.
    #[must_use]
    pub fn reachable(&self) -> Vec<&Endpoint> {
        let mut all: Vec<&Endpoint> = self.cluster.iter().chain(&self.local).collect();
        all.sort();
        all.dedup();
        all
    }

    /// What becomes of packets to the cluster IP, if they are not forwarded.
    #[must_use]
    pub fn internal_refusal(&self) -> Option<Refusal> {
        self.refusal(self.port.internal_local)
    }

    /// What becomes of packets to other addresses, if they are not forwarded.
    #[must_use]
    pub fn external_refusal(&self) -> Option<Refusal> {
        self.refusal(self.port.external_local)
    }

    fn refusal(&self, is_local: bool) -> Option<Refusal> {
        if !self.has_endpoints {
            Some(Refusal::Reject)
        } else if is_local && self.local.is_empty() {
            Some(Refusal::Drop)
        } else {
            None
        }
    }

    /// Whether somebody comes to it by an external address and can be served.
    #[must_use]
    pub fn forwards_external(&self) -> bool {
        self.has_endpoints && self.port.is_external()
    }
}

fn chosen(all: &[Endpoint], is: impl Fn(&Endpoint) -> bool) -> Vec<Endpoint> {
    all.iter().filter(|end| is(end)).cloned().collect()
}

/// Whether endpoints near by are preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preference {
    None,
    Node,
    Zone,
}

impl Preference {
    fn of(all: &[Endpoint], zone: &str) -> Self {
        let ready = || all.iter().filter(|end| end.ready);
        let every = |is: fn(&Endpoint) -> bool| ready().count() > 0 && ready().all(is);
        if every(|end| end.has_nodes) && ready().any(|end| end.for_this_node) {
            Self::Node
        } else if every(|end| !end.zones.is_empty())
            && ready().any(|end| end.zones.iter().any(|told| told == zone))
        {
            Self::Zone
        } else {
            Self::None
        }
    }

    fn allows(self, end: &Endpoint, zone: &str) -> bool {
        match self {
            Self::None => true,
            Self::Node => end.for_this_node,
            Self::Zone => end.zones.iter().any(|told| told == zone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PortName, Protocol};
    use mainstay_client::Key;
    use std::net::Ipv4Addr;

    fn port(internal_local: bool, external_local: bool) -> ServicePort {
        ServicePort {
            name: PortName {
                service: Key::new("a", "b"),
                port: String::new(),
                protocol: Protocol::Tcp,
            },
            cluster_ip: Ipv4Addr::new(10, 0, 0, 1),
            port: 80,
            node_port: Some(30000),
            external_ips: Vec::new(),
            balancers: Vec::new(),
            sources: Vec::new(),
            affinity: None,
            internal_local,
            external_local,
            health_port: None,
        }
    }

    /// `r` ready, `t` about to end but answering, `x` neither; then `l` for one on this node, and a zone.
    fn ends(text: &str) -> Vec<Endpoint> {
        let one = |(number, text): (u8, &str)| {
            let mut end = Endpoint::new(Ipv4Addr::new(10, 1, 0, number), 80);
            end.ready = text.starts_with('r');
            end.serving = !text.starts_with('x');
            end.terminating = text.starts_with('t');
            end.local = text.contains('l');
            if let Some((_, zone)) = text.split_once('@') {
                end.zones = vec![zone.to_owned()];
            }
            end
        };
        (1..).zip(text.split_whitespace()).map(one).collect()
    }

    fn numbers(ends: &[Endpoint]) -> String {
        let last = |end: &Endpoint| end.address.ip().octets()[3].to_string();
        ends.iter().map(last).collect()
    }

    #[test]
    fn endpoints_by_policy() {
        use Refusal::{Drop, Reject};
        // Endpoints; those of "Cluster"; those of "Local"; what becomes of the rest.
        for (told, cluster, local, internal, external) in [
            ("", "", "", Some(Reject), Some(Reject)),
            ("x xl", "", "", Some(Reject), Some(Reject)),
            ("r rl x", "12", "2", None, None),
            ("r r", "12", "", Some(Drop), Some(Drop)),
            // The last that answer are used though they end,
            ("t tl x", "12", "2", None, None),
            // on this node even if others are ready elsewhere.
            ("r tl", "1", "2", None, None),
            ("rl tl", "1", "1", None, None),
        ] {
            let plan = Plan::new(port(true, true), ends(told), "");
            assert_eq!(numbers(&plan.cluster), cluster, "{told:?}");
            assert_eq!(numbers(&plan.local), local, "{told:?}");
            assert_eq!(plan.internal_refusal(), internal, "{told:?}");
            assert_eq!(plan.external_refusal(), external, "{told:?}");
        }
        let plan = Plan::new(port(false, false), ends("r r"), "");
        assert_eq!(plan.external_refusal(), None);
        assert!(plan.local.is_empty(), "nothing goes by that policy");
    }

    #[test]
    fn hints_count_only_if_all_have_them_and_one_is_meant_for_here() {
        for (told, zone, cluster) in [
            ("r@a r@b", "a", "1"),
            ("r@a r@b", "c", "12"),
            ("r@a r@b", "", "12"),
            ("r@a r", "a", "12"),
            ("r@a t r@b", "b", "3"),
        ] {
            let plan = Plan::new(port(false, false), ends(told), zone);
            assert_eq!(numbers(&plan.cluster), cluster, "{told:?} in {zone:?}");
        }
        let mut near = ends("r@a r@b");
        for (end, here) in near.iter_mut().zip([false, true]) {
            end.has_nodes = true;
            end.for_this_node = here;
        }
        let plan = Plan::new(port(false, false), near, "a");
        assert_eq!(
            numbers(&plan.cluster),
            "2",
            "the node counts before the zone"
        );
    }
}
