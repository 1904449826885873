//! A TCP proxy in front of a member, which can delay, throttle, stall, reset and half-close each link by itself.
//!
//! **How links are told apart.** A member advertises one peer URL, so all its peers come to the same port, and a proxy
//! in front of it must find out who is calling:
//!
//! - In namespaces ([`Sources::ByAddress`]) the proxy listens inside the *target's* namespace, on the address that the
//!   member advertises, and passes on to the member on that namespace's loopback. It sees its peers' own addresses, and
//!   packet filters in the namespace act on proxied links as on direct ones.
//! - On plain loopback ([`Sources::ByProcess`]) all callers have the address 127.0.0.1. The proxy then looks up in
//!   `/proc` which registered process holds the other end of the connection.
//!
//! A link is directed by who *connects*: `m0→m1` are the connections that m0 opened to m1. Inside a link, `toward` is
//! the direction from the caller to the target and `back` the other one. To slow everything between two members, set
//! both their links.
//!
//! Bytes pass through untouched, so TLS does too. The proxy is one thread with a small runtime; its calls do not block,
//! except those that wait for connections to be gone.

mod diag;
mod identify;
mod link;
mod pump;
mod serve;

pub use identify::ProcessTable;
pub use link::{LinkCounters, LinkRule, Shape};

use crate::error::{Error, Result};
use crate::limits::{POLL_INTERVAL, PROXY_ANSWER_DEADLINE};
use crate::net::Namespace;
use crate::party::Party;
use crate::proof::Proof;
use crate::spawn;
use link::Links;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::oneshot;

/// How a proxy finds out who calls.
#[derive(Clone, Debug)]
pub enum Sources {
    /// By the caller's address.
    ByAddress(BTreeMap<IpAddr, Party>),
    /// By the process that holds the calling socket.
    ByProcess(ProcessTable),
}

/// What a proxy is made of.
#[derive(Clone, Debug)]
pub struct ProxySpec {
    /// Where callers connect.
    pub listen: SocketAddr,
    /// Where the member itself listens, seen from the same namespace.
    pub target: SocketAddr,
    /// The namespace of both.
    pub namespace: Option<Namespace>,
    /// How callers are told apart.
    pub sources: Sources,
}

/// One half of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the caller to the target.
    Toward,
    /// From the target to the caller.
    Back,
}

/// A running proxy. Its connections are closed and its thread has ended when it has been dropped.
#[derive(Debug)]
pub struct Proxy {
    links: Arc<Links>,
    listen: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens and serves until dropped. Connections are accepted even while the target is not there; they are reset
    /// when it does not answer.
    pub fn start(spec: ProxySpec) -> Result<Self> {
        let links = Arc::new(Links::default());
        let (stop, stopped) = oneshot::channel();
        let (ready, answer) = channel();
        let theirs = Arc::clone(&links);
        let shown = spec.listen;
        let thread = std::thread::Builder::new()
            .name("fault-proxy".into())
            .spawn(move || run(spec, theirs, stopped, &ready))
            .map_err(Error::io("start a proxy's thread"))?;
        let listen = answer
            .recv_timeout(PROXY_ANSWER_DEADLINE)
            .map_err(|_| Error::Deadline {
                what: format!("the proxy at {shown} listens"),
                within: PROXY_ANSWER_DEADLINE,
            })?
            .map_err(Error::io(format!("listen at {shown}")))?;
        Ok(Self {
            links,
            listen,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens; the port is a real one even if 0 was asked for.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Sets the rule for connections opened by `from`, open ones included.
    pub fn set(&self, from: Party, rule: LinkRule) {
        self.links.of(from).set(rule);
    }

    /// Back to a wire without faults on all links.
    pub fn heal(&self) {
        for link in self.links.all().values() {
            link.set(LinkRule::default());
        }
    }

    /// Resets (RST to both sides) all open connections of a link. The proof is how many are gone; without any open
    /// connection there is no effect.
    pub fn reset(&self, from: Party) -> Result<Proof> {
        let link = self.links.of(from);
        let before = link.counters();
        if before.open == 0 {
            return Ok(Proof::when(
                false,
                format!("no open connection from {from}"),
            ));
        }
        link.command(|commands| commands.resets += 1);
        self.wait(from, "connections are reset", |now| {
            now.reset >= before.reset + before.open
        })?;
        let gone = link.counters().reset - before.reset;
        Ok(Proof::acted(format!(
            "{gone} connections from {from} reset"
        )))
    }

    /// Ends one direction (FIN) of all open connections of a link, while the other goes on; what is still sent in the
    /// ended direction is thrown away.
    pub fn half_close(&self, from: Party, direction: Direction) -> Result<Proof> {
        let link = self.links.of(from);
        let before = link.counters();
        if before.open == 0 {
            return Ok(Proof::when(
                false,
                format!("no open connection from {from}"),
            ));
        }
        link.command(|commands| match direction {
            Direction::Toward => commands.closes_toward += 1,
            Direction::Back => commands.closes_back += 1,
        });
        self.wait(from, "directions are closed", |now| {
            now.half_closed > before.half_closed
        })?;
        let closed = link.counters().half_closed - before.half_closed;
        Ok(Proof::acted(format!(
            "{closed} connections from {from} half-closed ({direction:?})"
        )))
    }

    /// What passed, and what was held back, so far. Callers that could not be identified count under `None`.
    pub fn counters(&self) -> BTreeMap<Option<Party>, LinkCounters> {
        let mut all: BTreeMap<_, _> = self
            .links
            .all()
            .iter()
            .map(|(party, link)| (Some(*party), link.counters()))
            .collect();
        all.insert(None, self.links.unknown().counters());
        all
    }

    fn wait(&self, from: Party, what: &str, done: impl Fn(LinkCounters) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(self.links.of(from).counters()) {
            if start.elapsed() > PROXY_ANSWER_DEADLINE {
                return Err(Error::Deadline {
                    what: format!("{what} (from {from})"),
                    within: PROXY_ANSWER_DEADLINE,
                });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Dropping the sender says stop as well.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a proxy's thread panicked");
        }
    }
}

type Ready = Sender<std::io::Result<SocketAddr>>;

/// The proxy's thread. It enters the namespace before it makes any socket, and ends there.
fn run(spec: ProxySpec, links: Arc<Links>, stopped: oneshot::Receiver<()>, ready: &Ready) {
    let entered = spec
        .namespace
        .as_ref()
        .map_or(Ok(()), |n| spawn::move_this_thread(n.file()));
    let runtime = entered.and_then(|()| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    });
    match runtime {
        Ok(runtime) => runtime.block_on(serve::serve(spec, links, stopped, ready)),
        // Whoever waits for the answer gets it; nobody else needs it.
        Err(error) => drop(ready.send(Err(error))),
    }
}
