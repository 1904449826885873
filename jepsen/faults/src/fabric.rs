//! The network of a cluster, in namespaces where the machine permits it, on plain loopback where not.
//!
//! | | namespaces | loopback |
//! |---|---|---|
//! | addresses | 10.213.SLOT.11… | 127.(100+SLOT).0.11…, ports as below |
//! | partitions | packet filters, clients included | stalled proxies, between members only |
//! | loss | packet filters | not possible |
//! | links | proxies inside the members' namespaces | proxies; callers told apart by process |
//!
//! A member serves clients on port 2379. It advertises port 2380 to its peers, where its proxy listens, and itself listens
//! for peers on loopback, port 12380. Without proxies (namespaces only) it listens on 2380 itself.
//!
//! On loopback a blocked direction stalls that direction of all connections between the two, and answers to what does
//! arrive still get through; with packet filters the acknowledgements are lost too, so that a connection soon stands
//! still in both directions.

use crate::capability::{self, Need};
use crate::error::{Error, Result};
use crate::limits::MEMBERS_MAX;
use crate::net::{Drops, Namespace, Network, Rules};
use crate::party::{Blocked, Party};
use crate::proof::Proof;
use crate::proxy::{LinkRule, ProcessTable, Proxy, ProxySpec, Shape, Sources};
use crate::run::Run;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where members serve clients.
const CLIENT_PORT: u16 = 2379;
/// What members advertise to their peers.
const PEER_PORT: u16 = 2380;
/// Where members with a proxy listen for peers.
const INNER_PEER_PORT: u16 = 12_380;

/// Where one member is.
#[derive(Clone, Debug)]
pub struct Place {
    /// Listens for clients, and is reached by them, here.
    pub client: SocketAddr,
    /// Advertises this to its peers.
    pub peer: SocketAddr,
    /// Listens for peers here.
    pub peer_listen: SocketAddr,
    /// The namespace to start it in.
    pub namespace: Option<Namespace>,
}

/// What a fabric was blocking and what went through at a moment; the difference of two is the proof of a partition.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    drops: Drops,
    /// Chunks held back and bytes pending on all links.
    held: (u64, u64),
}

/// The network of one cluster.
#[derive(Debug)]
pub struct Fabric {
    places: Vec<Place>,
    proxies: Vec<Proxy>,
    network: Option<Network>,
    processes: ProcessTable,
    state: Mutex<State>,
    // Keeps the addresses of loopback mode for this run.
    _run: Run,
}

#[derive(Debug, Default)]
struct State {
    rules: Rules,
    /// What the harness asked of each link (from, to), without partitions.
    links: BTreeMap<(usize, usize), LinkRule>,
}

impl Fabric {
    /// Namespaces if the machine permits them, loopback otherwise. Says in the log why, if not.
    pub fn best(run: &Run, members: usize) -> Result<Self> {
        match capability::check(&[Need::Namespaces, Need::PacketFilter]) {
            Ok(()) => Self::namespaces(run, members, true),
            Err(error) => {
                tracing::warn!("falling back to loopback: {error}");
                Self::loopback(run, members)
            }
        }
    }

    /// Members in namespaces, with or without proxies in front of their peer ports.
    pub fn namespaces(run: &Run, members: usize, proxies: bool) -> Result<Self> {
        let network = Network::create(run, members)?;
        let at = |member| IpAddr::V4(network.address(Party::Member(member)));
        let sources: BTreeMap<_, _> = (0..members).map(|m| (at(m), Party::Member(m))).collect();
        let places: Vec<Place> = (0..members)
            .map(|member| {
                let peer = SocketAddr::new(at(member), PEER_PORT);
                let inner = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), INNER_PEER_PORT);
                Place {
                    client: SocketAddr::new(at(member), CLIENT_PORT),
                    peer,
                    peer_listen: if proxies { inner } else { peer },
                    namespace: Some(network.namespace(member).clone()),
                }
            })
            .collect();
        let sources = Sources::ByAddress(sources);
        let proxies = if proxies {
            start(&places, &sources)?
        } else {
            Vec::new()
        };
        Ok(Self::new(
            run,
            places,
            proxies,
            Some(network),
            ProcessTable::default(),
        ))
    }

    /// Members on loopback addresses of this run, always with proxies. Every started member must be
    /// [registered](Fabric::register).
    pub fn loopback(run: &Run, members: usize) -> Result<Self> {
        if !(1..=MEMBERS_MAX).contains(&members) {
            return Err(Error::Misuse(format!(
                "{members} members; 1 to {MEMBERS_MAX} are possible"
            )));
        }
        let places: Vec<Place> = (0..members)
            .map(|member| {
                let host = 11 + u8::try_from(member).expect("at most MEMBERS_MAX members");
                let ip = Ipv4Addr::new(127, 100 + run.slot(), 0, host).into();
                Place {
                    client: SocketAddr::new(ip, CLIENT_PORT),
                    peer: SocketAddr::new(ip, PEER_PORT),
                    peer_listen: SocketAddr::new(ip, INNER_PEER_PORT),
                    namespace: None,
                }
            })
            .collect();
        let processes = ProcessTable::default();
        let proxies = start(&places, &Sources::ByProcess(processes.clone()))?;
        Ok(Self::new(run, places, proxies, None, processes))
    }

    fn new(
        run: &Run,
        places: Vec<Place>,
        proxies: Vec<Proxy>,
        network: Option<Network>,
        processes: ProcessTable,
    ) -> Self {
        let state = Mutex::default();
        Self {
            places,
            proxies,
            network,
            processes,
            state,
            _run: run.clone(),
        }
    }

    /// Where a member is.
    ///
    /// # Panics
    /// If there is no such member.
    pub fn place(&self, member: usize) -> &Place {
        &self.places[member]
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.places.len()
    }

    /// Whether members have namespaces, and so packet filters.
    pub fn has_namespaces(&self) -> bool {
        self.network.is_some()
    }

    /// The proxy in front of a member, if there is one.
    pub fn proxy(&self, member: usize) -> Option<&Proxy> {
        self.proxies.get(member)
    }

    /// Tells a loopback fabric which process a member is, after every start. Nothing happens in namespaces.
    pub fn register(&self, member: usize, pid: u32) {
        self.processes.register(Party::Member(member), pid);
    }

    /// Blocks exactly these directions and none else; loss stays as it is.
    pub fn partition(&self, blocked: &[Blocked]) -> Result<()> {
        let mut state = self.state();
        state.rules.blocked = blocked.iter().copied().collect();
        self.apply(&state)
    }

    /// Loses packets at random, instead of any loss before; partitions stay as they are. Needs namespaces.
    pub fn lose(&self, rules: Rules) -> Result<()> {
        if self.network.is_none() {
            return Err(Error::Absent {
                what: "packet loss",
                why: "it needs namespaces, and this cluster is on plain loopback".into(),
            });
        }
        let mut state = self.state();
        state.rules.loss = rules.loss;
        self.apply(&state)
    }

    /// Sets the rule for connections that `from` opens to `to`. Needs proxies.
    pub fn shape(&self, from: usize, to: usize, rule: LinkRule) -> Result<()> {
        if self.proxies.len() <= to || self.places.len() <= from || from == to {
            return Err(Error::Misuse(format!(
                "there is no proxied link m{from}->m{to}"
            )));
        }
        let mut state = self.state();
        state.links.insert((from, to), rule);
        self.apply(&state)
    }

    /// Sets the rule for all links between members.
    pub fn shape_all(&self, rule: LinkRule) -> Result<()> {
        let n = self.places.len();
        let mut state = self.state();
        state.links = pairs(n).map(|pair| (pair, rule)).collect();
        self.apply(&state)
    }

    /// A network without faults.
    pub fn heal(&self) -> Result<()> {
        let mut state = self.state();
        *state = State::default();
        self.apply(&state)
    }

    /// What was dropped and held so far.
    pub fn reading(&self) -> Result<Reading> {
        let drops = self
            .network
            .as_ref()
            .map(Network::drops)
            .transpose()?
            .unwrap_or_default();
        let mut held = (0, 0);
        for counters in self.proxies.iter().flat_map(|p| p.counters().into_values()) {
            held.0 += counters.held_chunks + counters.refused;
            held.1 += counters.pending_bytes;
        }
        Ok(Reading { drops, held })
    }

    /// What the faults since `earlier` did: packets dropped by filters, chunks and bytes held back by proxies. To be taken
    /// before healing.
    pub fn proof_since(&self, earlier: &Reading) -> Result<Proof> {
        let now = self.reading()?;
        let drops = now.drops.since(&earlier.drops);
        let chunks = now.held.0.saturating_sub(earlier.held.0);
        let text = format!(
            "{}; {chunks} chunks held by proxies, {} bytes pending",
            drops.proof().text,
            now.held.1
        );
        Ok(Proof::when(
            drops.total() > 0 || chunks > 0 || now.held.1 > earlier.held.1,
            text,
        ))
    }

    fn apply(&self, state: &State) -> Result<()> {
        if let Some(network) = &self.network {
            network.apply(&state.rules)?;
        } else {
            state.rules.check(self.places.len())?;
            if state
                .rules
                .blocked
                .iter()
                .any(|b| [b.from, b.to].contains(&Party::Clients))
            {
                return Err(Error::Absent {
                    what: "partitions between members and clients",
                    why: "they need namespaces, and this cluster is on plain loopback".into(),
                });
            }
        }
        for (from, to) in pairs(self.proxies.len()) {
            let mut rule = state.links.get(&(from, to)).copied().unwrap_or_default();
            if self.network.is_none() {
                stall(
                    &mut rule.toward,
                    state.rules.blocked.contains(&Blocked::members(from, to)),
                );
                stall(
                    &mut rule.back,
                    state.rules.blocked.contains(&Blocked::members(to, from)),
                );
            }
            self.proxies[to].set(Party::Member(from), rule);
        }
        Ok(())
    }

    /// No code panics while it holds this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stall(shape: &mut Shape, blocked: bool) {
    shape.stall |= blocked;
}

/// All directed pairs of different members.
fn pairs(members: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..members)
        .flat_map(move |a| (0..members).map(move |b| (a, b)))
        .filter(|(a, b)| a != b)
}

fn start(places: &[Place], sources: &Sources) -> Result<Vec<Proxy>> {
    places
        .iter()
        .map(|place| {
            Proxy::start(ProxySpec {
                listen: place.peer,
                target: place.peer_listen,
                namespace: place.namespace.clone(),
                sources: sources.clone(),
            })
        })
        .collect()
}
