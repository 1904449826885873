//! The server as a whole: what it is told, how it starts, and how it ends.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mainstay_client::Informers;
use mainstay_client::metrics::Metrics;
use mainstay_client::process::Stop;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::cache::Cache;
use crate::figures::{Figures, ForwardFigures};
use crate::follow::follow;
use crate::forward::{BadUpstream, Forwarder, Policy, upstreams};
use crate::limits::{DRAIN_TIMEOUT, LAMEDUCK_MAX, TTL};
use crate::serve::{Page, Resolver, UdpSockets, pages, tcp, udp};
use crate::zone::{Index, NotADomain};

/// What a server is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster's domain.
    pub domain: String,
    /// Where questions are taken, over UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Seconds that answers about the cluster count.
    pub ttl: u32,
    /// Other servers: addresses, or files such as `/etc/resolv.conf`.
    pub upstreams: Vec<String>,
    pub policy: Policy,
    /// For how long answers of other servers are kept at most.
    pub cache_max: Duration,
    /// Where pages are shown; none for no pages.
    pub metrics: Option<SocketAddr>,
    pub health: Option<SocketAddr>,
    pub ready: Option<SocketAddr>,
    /// For how long an ending server goes on answering, while others hear that it ends.
    pub lameduck: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let any = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        Self {
            domain: "cluster.local".to_owned(),
            listen: vec![any(53)],
            ttl: TTL,
            upstreams: vec!["/etc/resolv.conf".to_owned()],
            policy: Policy::default(),
            cache_max: Duration::from_secs(30),
            metrics: Some(any(9153)),
            health: Some(any(8080)),
            ready: Some(any(8181)),
            lameduck: Duration::from_secs(5),
        }
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NoStart {
    #[error(transparent)]
    Domain(#[from] NotADomain),
    #[error("other servers: {0}")]
    Upstream(#[from] BadUpstream),
    #[error("{0}: {1}")]
    Listen(SocketAddr, io::Error),
    #[error("a lame duck lives {0:?} at most")]
    Lameduck(Duration),
}

/// Answers until the end is announced. Questions about the cluster that cannot be answered yet, because not all of it
/// is known, are failures of the server until the informers have seen everything.
///
/// # Errors
/// When what it is told makes no sense, or an address is taken.
pub async fn serve(
    informers: &Informers,
    metrics: &Metrics,
    stop: &Stop,
    options: Options,
) -> Result<(), NoStart> {
    if options.lameduck > LAMEDUCK_MAX {
        return Err(NoStart::Lameduck(LAMEDUCK_MAX));
    }
    let serial = SystemTime::now().duration_since(UNIX_EPOCH);
    // Zones' serials have 32 bits and go round.
    let serial = serial.unwrap_or_default().as_secs() & u64::from(u32::MAX);
    let serial = u32::try_from(serial).unwrap_or_default();
    let index = Arc::new(Index::new(&options.domain, serial, options.ttl)?);
    let own = &options.listen;
    let servers = upstreams(&options.upstreams, own)?;
    if servers.is_empty() {
        tracing::warn!("there is no other server to ask: only the cluster's names are known");
    }
    let forwarder = Forwarder::new(&servers, options.policy, ForwardFigures::new(metrics));
    let cache = Cache::new(options.cache_max);
    let resolver = Resolver::new(Arc::clone(&index), cache, forwarder, Figures::new(metrics));
    let resolver = Arc::new(resolver);

    let mut serving = JoinSet::new();
    for address in own {
        let failed = |error| NoStart::Listen(*address, error);
        let sockets = UdpSockets::bind(*address).map_err(failed)?;
        let listener = TcpListener::bind(sockets.address).await.map_err(failed)?;
        tracing::info!(address = %sockets.address, domain = options.domain, "answering");
        serving.spawn(udp(sockets, Arc::clone(&resolver)));
        serving.spawn(tcp(listener, Arc::clone(&resolver)));
    }
    let ending = Arc::new(AtomicBool::new(false));
    let shown = Shown {
        metrics: metrics.clone(),
        resolver,
        index: Arc::clone(&index),
        ending: Arc::clone(&ending),
    };
    shown.show(&options, &mut serving).await?;
    let followed = async {
        follow(informers, &index).await;
        tracing::info!(services = index.services(), "all of the cluster is known");
        std::future::pending().await
    };
    tokio::select! {
        () = followed => {}
        () = stop.announced() => {}
    }
    ending.store(true, Ordering::Relaxed);
    sleep(options.lameduck).await;
    // Answers that others still owe.
    sleep(DRAIN_TIMEOUT.min(options.lameduck)).await;
    Ok(())
}

/// What pages show.
struct Shown {
    metrics: Metrics,
    resolver: Arc<Resolver>,
    index: Arc<Index>,
    ending: Arc<AtomicBool>,
}

impl Shown {
    async fn show(self, options: &Options, serving: &mut JoinSet<()>) -> Result<(), NoStart> {
        let Self {
            metrics,
            resolver,
            index,
            ending,
        } = self;
        if let Some(listener) = listener(options.metrics).await? {
            serving.spawn(pages(listener, "/metrics", move || {
                resolver.count_cache();
                Page {
                    ok: true,
                    media: "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    text: metrics.text(),
                }
            }));
        }
        if let Some(listener) = listener(options.health).await? {
            serving.spawn(pages(listener, "/health", || plain(true, "OK")));
        }
        if let Some(listener) = listener(options.ready).await? {
            serving.spawn(pages(listener, "/ready", move || {
                match index.is_complete() && !ending.load(Ordering::Relaxed) {
                    true => plain(true, "OK"),
                    false => plain(false, "kubernetes"),
                }
            }));
        }
        Ok(())
    }
}

fn plain(ok: bool, text: &str) -> Page {
    Page {
        ok,
        media: "text/plain; charset=utf-8",
        text: text.to_owned(),
    }
}

async fn listener(address: Option<SocketAddr>) -> Result<Option<TcpListener>, NoStart> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await;
    let failed = |error| NoStart::Listen(address, error);
    Ok(Some(listener.map_err(failed)?))
}
