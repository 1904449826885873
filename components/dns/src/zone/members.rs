//! The endpoints of one service, put together from its slices.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::objects::{Port, Slice};
use crate::wire::Name;

/// One endpoint with a name.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its full name, to which SRV records point.
    pub(crate) target: Name,
    pub(crate) named: bool,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ports: Vec<Port>,
}

/// All endpoints of one service that are ready.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) all: Vec<Member>,
    pub(crate) by_label: HashMap<String, usize>,
    pub(crate) four: Vec<Ipv4Addr>,
    pub(crate) six: Vec<Ipv6Addr>,
}

#[derive(Default)]
struct Gathered {
    named: bool,
    addresses: BTreeSet<IpAddr>,
    ports: BTreeSet<Port>,
}

impl Members {
    /// `service` is the service's full name. An endpoint may be in several slices: one for each set of ports, and in
    /// two at once while it is moved.
    pub(crate) fn of<'a>(
        slices: impl Iterator<Item = &'a Slice>,
        publishes_all: bool,
        service: &Name,
    ) -> Self {
        let mut gathered = BTreeMap::<&str, Gathered>::new();
        for slice in slices {
            let published = slice.endpoints.iter().filter(|e| e.ready || publishes_all);
            for endpoint in published {
                let member = gathered.entry(&endpoint.label).or_default();
                member.named |= endpoint.named;
                member.addresses.extend(&endpoint.addresses);
                member.ports.extend(slice.ports.iter().cloned());
            }
        }
        let mut members = Self::default();
        let (mut four, mut six) = (BTreeSet::new(), BTreeSet::new());
        for (label, member) in gathered {
            // Not a name: too long, together with the service's.
            let Some(target) = service.below(label) else {
                continue;
            };
            for address in &member.addresses {
                match address {
                    IpAddr::V4(address) => four.insert(*address),
                    IpAddr::V6(address) => six.insert(*address),
                };
            }
            let number = members.all.len();
            members.by_label.insert(label.to_owned(), number);
            members.all.push(Member {
                target,
                named: member.named,
                addresses: member.addresses.into_iter().collect(),
                ports: member.ports.into_iter().collect(),
            });
        }
        members.four = four.into_iter().collect();
        members.six = six.into_iter().collect();
        members
    }

    pub(crate) fn get(&self, label: &str) -> Option<&Member> {
        self.by_label
            .get(label)
            .and_then(|number| self.all.get(*number))
    }
}
