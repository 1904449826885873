//! Packet rules as data, as nft text, and what they counted.

use crate::error::{Error, Result};
use crate::party::{Blocked, Party};
use crate::proof::Proof;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

pub(super) const TABLE: &str = "mainstay";
/// Loss is given in hundredths of a percent.
const WHOLE: u16 = 10_000;

/// Random loss in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The direction.
    pub link: Blocked,
    /// Share of packets that are lost, in hundredths of a percent: 0 to 10,000.
    pub basis_points: u16,
}

/// Everything that is dropped on the network at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Directions in which nothing arrives.
    pub blocked: BTreeSet<Blocked>,
    /// Directions in which some packets are lost.
    pub loss: Vec<Loss>,
}

impl Rules {
    /// A partition without loss.
    pub fn partition(blocked: impl IntoIterator<Item = Blocked>) -> Self {
        Self {
            blocked: blocked.into_iter().collect(),
            loss: Vec::new(),
        }
    }

    /// The same loss between all members, in both directions; clients are spared.
    pub fn lossy(members: usize, basis_points: u16) -> Self {
        let pairs = (0..members).flat_map(|a| (0..members).map(move |b| (a, b)));
        let loss = pairs
            .filter(|(a, b)| a != b)
            .map(|(a, b)| Loss {
                link: Blocked::members(a, b),
                basis_points,
            })
            .collect();
        Self {
            blocked: BTreeSet::new(),
            loss,
        }
    }

    pub(crate) fn check(&self, members: usize) -> Result<()> {
        let links = self.blocked.iter().chain(self.loss.iter().map(|l| &l.link));
        for link in links {
            for party in [link.from, link.to] {
                if matches!(party, Party::Member(index) if index >= members) {
                    return Err(Error::Misuse(format!(
                        "{link} names a member beyond {members}"
                    )));
                }
            }
            if link.from == link.to {
                return Err(Error::Misuse(format!("{link} leads nowhere")));
            }
        }
        if let Some(loss) = self.loss.iter().find(|l| l.basis_points > WHOLE) {
            return Err(Error::Misuse(format!(
                "{} of {WHOLE} packets",
                loss.basis_points
            )));
        }
        Ok(())
    }

    /// One transaction that makes these the rules of a member's namespace.
    pub(super) fn for_member(&self, member: usize, address: impl Fn(Party) -> Ipv4Addr) -> String {
        let mut text = format!("flush chain inet {TABLE} in\nflush chain inet {TABLE} out\n");
        for link in &self.blocked {
            if let Some((place, other)) = place(*link, member) {
                let name = counter("block", *link);
                let _ = writeln!(
                    text,
                    "add rule inet {TABLE} {place} {} counter name {name} drop",
                    address(other)
                );
            }
        }
        for loss in &self.loss {
            if let Some((place, other)) = place(loss.link, member) {
                let name = counter("lose", loss.link);
                let _ = writeln!(
                    text,
                    "add rule inet {TABLE} {place} {} numgen random mod {WHOLE} < {} counter name {name} drop",
                    address(other),
                    loss.basis_points
                );
            }
        }
        text
    }
}

/// The chain of `member`'s namespace in which a direction is filtered, with the match, and whose address is matched.
/// What goes to the clients is dropped where it leaves: their namespace is the machine's own.
fn place(link: Blocked, member: usize) -> Option<(&'static str, Party)> {
    if link.to == Party::Member(member) {
        return Some(("in ip saddr", link.from));
    }
    if link.to == Party::Clients && link.from == Party::Member(member) {
        return Some(("out ip daddr", Party::Clients));
    }
    None
}

fn counter(kind: &str, link: Blocked) -> String {
    format!("{kind}_{}_{}", link.from, link.to)
}

/// The table that every namespace has from the start: chains and all counters, no rules. Named counters outlive the
/// rules that use them.
pub(super) fn base(members: usize) -> String {
    let mut text = format!("table inet {TABLE} {{\n");
    let mut parties: Vec<Party> = (0..members).map(Party::Member).collect();
    parties.push(Party::Clients);
    for &from in &parties {
        for &to in &parties {
            for kind in ["block", "lose"] {
                let _ = writeln!(
                    text,
                    "counter {} {{ }}",
                    counter(kind, Blocked { from, to })
                );
            }
        }
    }
    text.push_str(
        "chain in { type filter hook input priority 0; policy accept; }\n\
         chain out { type filter hook output priority 0; policy accept; }\n}\n",
    );
    text
}

/// Packets dropped, per direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// By partitions.
    pub blocked: BTreeMap<Blocked, u64>,
    /// By random loss.
    pub lost: BTreeMap<Blocked, u64>,
}

impl Drops {
    /// Adds what the counters of one namespace say.
    pub(super) fn add_member(&mut self, member: usize, json: &str) -> Result<()> {
        let unreadable = || Error::NotActing(format!("nft printed no counters for m{member}"));
        let value: Value = serde_json::from_str(json).map_err(|_| unreadable())?;
        let objects = value
            .get("nftables")
            .and_then(Value::as_array)
            .ok_or_else(unreadable)?;
        for object in objects.iter().filter_map(|o| o.get("counter")) {
            let name = object
                .get("name")
                .and_then(Value::as_str)
                .ok_or_else(unreadable)?;
            let packets = object
                .get("packets")
                .and_then(Value::as_u64)
                .ok_or_else(unreadable)?;
            let (kind, link) = parse(name).ok_or_else(unreadable)?;
            if packets > 0 {
                let map = if kind == "block" {
                    &mut self.blocked
                } else {
                    &mut self.lost
                };
                *map.entry(link).or_default() += packets;
            }
        }
        Ok(())
    }

    /// What was dropped after `earlier` was taken.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let subtract = |now: &BTreeMap<Blocked, u64>, then: &BTreeMap<Blocked, u64>| {
            now.iter()
                .map(|(link, n)| (*link, n - then.get(link).copied().unwrap_or(0)))
                .filter(|(_, n)| *n > 0)
                .collect()
        };
        Self {
            blocked: subtract(&self.blocked, &earlier.blocked),
            lost: subtract(&self.lost, &earlier.lost),
        }
    }

    /// All packets together.
    pub fn total(&self) -> u64 {
        self.blocked.values().chain(self.lost.values()).sum()
    }

    /// Acted if anything was dropped: not every direction of a partition has traffic, such as two followers.
    pub fn proof(&self) -> Proof {
        let mut parts = Vec::new();
        for (what, map) in [("blocked", &self.blocked), ("lost", &self.lost)] {
            parts.extend(
                map.iter()
                    .map(|(link, n)| format!("{link} {n} packets {what}")),
            );
        }
        if parts.is_empty() {
            return Proof::when(false, "no packet was dropped");
        }
        Proof::acted(parts.join(", "))
    }
}

fn parse(name: &str) -> Option<(&str, Blocked)> {
    let mut parts = name.split('_');
    let kind = parts.next()?;
    let link = Blocked {
        from: party(parts.next()?)?,
        to: party(parts.next()?)?,
    };
    Some((kind, link))
}

fn party(name: &str) -> Option<Party> {
    if name == "clients" {
        return Some(Party::Clients);
    }
    name.strip_prefix('m')?.parse().ok().map(Party::Member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_go_where_packets_arrive() {
        let to_clients = Blocked {
            from: Party::Member(1),
            to: Party::Clients,
        };
        let rules = Rules::partition([Blocked::members(0, 1), to_clients]);
        let address = |party| match party {
            Party::Member(n) => Ipv4Addr::new(10, 0, 0, 11 + u8::try_from(n).unwrap()),
            Party::Clients => Ipv4Addr::new(10, 0, 0, 1),
        };
        let text = rules.for_member(1, address);
        assert!(
            text.contains("in ip saddr 10.0.0.11 counter name block_m0_m1 drop"),
            "{text}"
        );
        assert!(
            text.contains("out ip daddr 10.0.0.1 counter name block_m1_clients drop"),
            "{text}"
        );
        assert!(!rules.for_member(0, address).contains("add rule"));
    }

    #[test]
    fn impossible_rules_are_refused() {
        assert!(Rules::partition([Blocked::members(0, 3)]).check(3).is_err());
        assert!(Rules::partition([Blocked::members(1, 1)]).check(3).is_err());
        assert!(Rules::lossy(3, 10_001).check(3).is_err());
        Rules::lossy(3, 500).check(3).unwrap();
    }

    #[test]
    fn counters_are_read_back() {
        let json = r#"{"nftables":[{"metainfo":{"version":"1"}},
            {"counter":{"name":"block_m0_m1","packets":3,"bytes":180}},
            {"counter":{"name":"lose_m1_clients","packets":0,"bytes":0}}]}"#;
        let mut drops = Drops::default();
        drops.add_member(1, json).unwrap();
        assert_eq!(drops.total(), 3);
        assert!(drops.proof().acted);
        assert!(!drops.since(&drops).proof().acted);
        assert!(drops.add_member(1, "nonsense").is_err());
    }
}
