//! The workloads: what is asked of a server, how often, and what is measured.

mod keep_alive;
mod keys;
mod unary;
mod watch;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::clock;
use crate::fleet::call_once;
use crate::interrupt::Interrupted;
use crate::limits::{FD_RESERVE, LEADER_TIMEOUT, POLL_MAX};
use crate::measurement::Measurement;
use crate::usage::Gauge;
use crate::wire;

pub(crate) use keys::Keys;
pub(crate) use unary::preload;

/// Calls of the unary workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Put,
    Get {
        serializable: bool,
    },
    Range {
        limit: u64,
    },
    /// Put and linearizable get in turn.
    Mixed,
    LeaseGrant,
}

/// How a unary workload is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So many calls are always unanswered.
    Closed { in_flight: usize },
    /// So many calls per second begin, whatever happens to the earlier ones.
    Open { rate_per_s: u64 },
}

/// Something to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    Unary {
        call: Call,
        pace: Pace,
        conns: usize,
    },
    /// One open-loop writer and `conns` × `streams` × `watches` watches of all it writes.
    Watch {
        conns: usize,
        streams: usize,
        watches: usize,
        rate_per_s: u64,
    },
    /// One keep-alive stream per connection with one lease and one request in flight each.
    KeepAlive { conns: usize },
    /// Nothing at all: what a server uses by itself.
    Idle,
}

impl Workload {
    /// Client connections it opens at once.
    pub(crate) fn connections(&self) -> usize {
        match *self {
            Self::Unary { conns, .. } | Self::KeepAlive { conns } => conns,
            Self::Watch { conns, .. } => conns + 1,
            Self::Idle => 0,
        }
    }

    /// Whether memory is measured, which needs a server that has done nothing before.
    pub(crate) fn wants_fresh_server(&self) -> bool {
        matches!(self, Self::Watch { .. })
    }
}

/// Everything a run needs besides the workload.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Client addresses; the leader first, so that one connection goes to it.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) gauge: Gauge,
    pub(crate) keys: Keys,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// Runs one workload once.
///
/// # Errors
/// If the run could not be completed; single failed calls are counted in the measurement instead.
pub(crate) fn run(workload: &Workload, target: &Target) -> Result<Measurement> {
    let fds = fd_limit();
    let wanted = workload.connections() as u64 + FD_RESERVE;
    ensure!(
        wanted <= fds,
        "{wanted} file descriptors needed, the limit is {fds}"
    );
    match *workload {
        Workload::Unary { call, pace, conns } => unary::run(call, pace, conns, target),
        Workload::Watch {
            conns,
            streams,
            watches,
            rate_per_s,
        } => {
            let shape = watch::Shape {
                conns,
                streams,
                watches,
                rate_per_s,
            };
            watch::run(shape, target)
        }
        Workload::KeepAlive { conns } => keep_alive::run(conns, target),
        Workload::Idle => unary::idle(target),
    }
}

/// The most file descriptors this process (and each server it starts) may have.
pub(crate) fn fd_limit() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.unwrap_or(u64::MAX)
}

/// Orders addresses so that the leader comes first; `leader_only` drops the others.
///
/// # Errors
/// If a member does not answer, or none says it leads.
pub(crate) fn leader_first(
    mut addresses: Vec<SocketAddr>,
    leader_only: bool,
) -> Result<Vec<SocketAddr>> {
    let deadline = clock::now() + LEADER_TIMEOUT.as_nanos() as u64;
    let leader = loop {
        match find_leader(&addresses) {
            Ok(Some(leader)) => break leader,
            Err(e) if clock::now() > deadline || e.is::<Interrupted>() => return Err(e),
            Ok(None) if clock::now() > deadline => bail!("no member says it is the leader"),
            _ => thread::sleep(POLL_MAX),
        }
    };
    addresses.rotate_left(leader);
    if leader_only {
        addresses.truncate(1);
    }
    Ok(addresses)
}

fn find_leader(addresses: &[SocketAddr]) -> Result<Option<usize>> {
    let mut request = Vec::new();
    wire::empty(&mut request);
    let mut leader = None;
    for (i, &address) in addresses.iter().enumerate() {
        let status = call_once(address, wire::STATUS, &request)
            .with_context(|| format!("status of {address}"))?;
        if wire::status_is_leader(&status)? {
            leader = Some(i);
        }
    }
    Ok(leader)
}
