//! The rules that there are, and their text.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;

use crate::local::Local;
use crate::model::Protocol;

/// Comments longer than this the kernel's tools refuse, in bytes.
const COMMENT_MAX: usize = 120;

/// What an element of a map says is to become of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Goto(String),
    Drop,
}

impl Verdict {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Goto(chain) => format!("goto {chain}"),
            Self::Drop => "drop".to_owned(),
        }
    }
}

/// One rule in a chain of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The source is to be replaced by this node's, so that answers come back here.
    Masquerade,
    /// The same for what the node itself sends.
    MasqueradeOwn,
    /// Traffic of pods goes by another chain.
    GotoFromPods(Local, String),
    /// What the node itself sends goes by another chain.
    GotoFromNode(String),
    Goto(String),
    /// Nobody else may come: ranges and single addresses.
    DropUnlessFrom(Vec<Ipv4Net>, Vec<Ipv4Addr>),
    /// To the only endpoint.
    Forward(Protocol, SocketAddrV4),
    /// To one of several endpoints with the same port, by chance.
    Balance(Protocol, Vec<Ipv4Addr>, u16),
    /// To one of several endpoints with different ports, by chance.
    BalanceMixed(Protocol, Vec<SocketAddrV4>),
    /// A client that this set remembers stays with the chain of its endpoint.
    Stick {
        set: String,
        chain: String,
    },
    /// To one of several chains by chance.
    BalanceChains(Vec<String>),
    /// This client is remembered, or for longer.
    Remember(String),
}

/// Where the endpoints of a balanced chain are: the numbers from `first` on in a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) map: u32,
    pub(super) first: u32,
}

impl Slot {
    pub(super) fn map_name(map: u32) -> String {
        format!("endpoints-{map}")
    }
}

impl Rule {
    /// As it follows `add rule TABLE CHAIN`. `mark` is that of packets to be masqueraded; `slot` is of a rule that
    /// balances.
    pub(super) fn text(&self, mark: u32, slot: Option<Slot>) -> String {
        let mark = format!("mark set mark or {mark:#010x}");
        match self {
            Self::Masquerade => format!("{mark} comment \"masquerade\""),
            Self::MasqueradeOwn => {
                format!("fib saddr type local {mark} comment \"masquerade local traffic\"")
            }
            Self::GotoFromPods(local, chain) => match local.nft(true) {
                Some(pods) => format!("{pods} goto {chain} comment \"short-circuit pod traffic\""),
                None => unreachable!("such a rule is made only where pods can be told"),
            },
            Self::GotoFromNode(chain) => {
                format!("fib saddr type local goto {chain} comment \"short-circuit local traffic\"")
            }
            Self::Goto(chain) => format!("goto {chain}"),
            Self::DropUnlessFrom(ranges, addresses) => {
                let ranges = ranges.iter().map(Ipv4Net::to_string);
                let all = ranges.chain(addresses.iter().map(Ipv4Addr::to_string));
                let all: Vec<String> = all.collect();
                format!("ip saddr != {{ {} }} drop", all.join(", "))
            }
            Self::Forward(protocol, to) => format!("meta l4proto {protocol} dnat to {to}"),
            Self::Balance(protocol, ends, port) => {
                let Slot { map, first } = slot.expect("given for what balances");
                let (map, count) = (Slot::map_name(map), ends.len());
                format!(
                    "meta l4proto {protocol} dnat to numgen random mod {count} offset {first} map @{map}:{port} \
                     comment \"{}\"",
                    comment(ends)
                )
            }
            Self::BalanceMixed(protocol, ends) => {
                let each = (0..)
                    .zip(ends)
                    .map(|(at, end): (u32, _)| format!("{at} : {} . {}", end.ip(), end.port()));
                let (count, each) = (ends.len(), each.collect::<Vec<_>>().join(", "));
                format!(
                    "meta l4proto {protocol} dnat ip addr . port to numgen random mod {count} map {{ {each} }}"
                )
            }
            Self::Stick { set, chain } => format!("ip saddr @{set} goto {chain}"),
            Self::BalanceChains(chains) => {
                let mut text = format!("numgen random mod {} vmap {{ ", chains.len());
                for (at, chain) in chains.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    let _ = write!(text, "{comma}{at} : goto {chain}");
                }
                text + " }"
            }
            Self::Remember(set) => format!("update @{set} {{ ip saddr }}"),
        }
    }
}

/// For people: which endpoints these are, as many as there is room for.
fn comment(ends: &[Ipv4Addr]) -> String {
    let mut text = String::new();
    for (at, end) in ends.iter().enumerate() {
        let next = format!("{}{end}", if at == 0 { "" } else { " " });
        if text.len() + next.len() + " ...".len() > COMMENT_MAX {
            text.push_str(" ...");
            break;
        }
        text.push_str(&next);
    }
    text
}
