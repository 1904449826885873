//! How traffic of this cluster's pods is told from other traffic, and at which addresses node ports are served.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// What makes a packet one of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Local {
    /// It cannot be told.
    #[default]
    Unknown,
    /// Its source is in this range.
    Range(Ipv4Net),
    /// It comes from this bridge.
    Bridge(String),
    /// It comes from an interface whose name begins so.
    Prefix(String),
}

impl Local {
    /// What matches in nftables; None where it cannot be told.
    #[must_use]
    pub fn nft(&self, is_local: bool) -> Option<String> {
        let not = if is_local { "" } else { "!= " };
        match self {
            Self::Unknown => None,
            Self::Range(range) => Some(format!("ip saddr {not}{range}")),
            Self::Bridge(name) => Some(format!("iifname {not}\"{name}\"")),
            Self::Prefix(name) => Some(format!("iifname {not}\"{name}*\"")),
        }
    }

    /// What matches in iptables.
    #[must_use]
    pub fn iptables(&self, is_local: bool) -> Option<String> {
        let not = if is_local { "" } else { "! " };
        match self {
            Self::Unknown => None,
            Self::Range(range) => Some(format!("{not}-s {range}")),
            Self::Bridge(name) => Some(format!("{not}-i {name}")),
            Self::Prefix(name) => Some(format!("{not}-i {name}+")),
        }
    }
}

/// Where node ports are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NodePorts {
    /// At every address of the node but those of loopback.
    #[default]
    Everywhere,
    /// At the addresses of the node in these ranges.
    Ranges(Vec<Ipv4Net>),
    /// At the address that the node's object tells.
    Primary,
}

impl NodePorts {
    /// From the flag: ranges, or "primary".
    ///
    /// # Errors
    /// Says what is no range.
    pub fn read(texts: &[String]) -> Result<Self, String> {
        if texts == ["primary"] {
            return Ok(Self::Primary);
        }
        let mut ranges = Vec::new();
        for text in texts {
            match text.parse() {
                Ok(ipnet::IpNet::V4(range)) => ranges.push(range.trunc()),
                // For the other family, which is not served.
                Ok(ipnet::IpNet::V6(_)) => {}
                Err(_) => return Err(format!("{text:?} is no range of addresses")),
            }
        }
        match ranges.is_empty() || ranges.iter().any(|range| range.prefix_len() == 0) {
            true => Ok(Self::Everywhere),
            false => Ok(Self::Ranges(ranges)),
        }
    }

    /// The addresses, of all that this machine has; None for every one.
    #[must_use]
    pub fn addresses(&self, own: &[Ipv4Addr], primary: Option<Ipv4Addr>) -> Option<Vec<Ipv4Addr>> {
        let mut found: Vec<Ipv4Addr> = match self {
            Self::Everywhere => return None,
            Self::Primary => primary.into_iter().collect(),
            Self::Ranges(ranges) => {
                let is_in = |ip: &&Ipv4Addr| ranges.iter().any(|range| range.contains(*ip));
                own.iter().filter(is_in).copied().collect()
            }
        };
        found.retain(|ip| !ip.is_loopback());
        found.sort();
        found.dedup();
        Some(found)
    }
}

/// The addresses of this machine, from the text of `/proc/thread-self/net/fib_trie`: those whose line is followed by
/// one of a host that is local.
#[must_use]
pub fn own_addresses(fib: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in fib.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last.take());
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_machine_are_read_from_its_routes() {
        let fib = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 10.0.2.0/24 2 0 2\n        \
                   |-- 10.0.2.0\n           /24 link UNICAST\n        |-- 10.0.2.15\n           /32 host LOCAL\n        \
                   |-- 10.0.2.255\n           /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        let own = own_addresses(fib);
        assert_eq!(own, [Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::LOCALHOST]);
    }

    #[test]
    fn node_ports_are_served_where_it_is_said() {
        let own = [Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::LOCALHOST];
        let primary = Ipv4Addr::new(172, 16, 0, 1);
        for (flag, addresses) in [
            (&[][..], None),
            (&["0.0.0.0/0"], None),
            (&["::/0"], None),
            (&["10.0.0.0/8", "127.0.0.0/8"], Some(vec![own[0]])),
            (&["192.168.0.0/16"], Some(vec![])),
            (&["primary"], Some(vec![primary])),
        ] {
            let flag: Vec<String> = flag.iter().map(|text| (*text).to_owned()).collect();
            let ports = NodePorts::read(&flag).expect("it can be read");
            assert_eq!(ports.addresses(&own, Some(primary)), addresses, "{flag:?}");
        }
        assert!(NodePorts::read(&["here".to_owned()]).is_err());
    }
}
