//! Listening, and passing on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::backend::{Backend, Counted, order};
use super::health::Probe;
use crate::limits::{
    BALANCED_CONNECTIONS_MAX, BALANCER_CONNECT_PATIENCE, PROBE_FAILURES_MAX, PROBE_PAUSE,
};

/// Flags of `mainstay balance`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Balance {
    /// Addresses to listen on.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        value_delimiter = ',',
        required = true
    )]
    listen: Vec<SocketAddr>,
    /// Apiservers.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        value_delimiter = ',',
        required = true
    )]
    servers: Vec<SocketAddr>,
    /// One of them that is taken whenever it is ready.
    #[arg(long, value_name = "ADDRESS:PORT")]
    prefer: Option<SocketAddr>,
    /// Authority of their certificates.
    #[arg(long)]
    ca_file: PathBuf,
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn balance(flags: &Balance) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime")?;
    runtime.block_on(live(flags.clone()))
}

async fn live(flags: Balance) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let probe = Probe::new(&flags.ca_file)?;
    let backends: Vec<Arc<Backend>> = flags
        .servers
        .iter()
        .map(|address| Arc::new(Backend::new(*address)))
        .collect();
    for backend in &backends {
        tokio::spawn(watch(Arc::clone(backend), probe.clone()));
    }
    let permits = Arc::new(Semaphore::new(BALANCED_CONNECTIONS_MAX));
    let mut accepting = JoinSet::new();
    for address in flags.listen {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| address.to_string())?;
        let (backends, permits) = (backends.clone(), Arc::clone(&permits));
        accepting.spawn(accept(listener, backends, flags.prefer, permits));
    }
    tokio::select! {
        Some(ended) = accepting.join_next() => ended.context("a listener ended")?,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Looks after one server, for ever.
async fn watch(backend: Arc<Backend>, probe: Probe) {
    let mut failures = 0;
    loop {
        match probe.ready(backend.address).await {
            Ok(()) => {
                failures = 0;
                if backend.set_ready(true) {
                    tracing::info!(server = %backend.address, "ready");
                }
            }
            Err(error) => {
                failures += 1;
                if failures >= PROBE_FAILURES_MAX && backend.set_ready(false) {
                    tracing::warn!(server = %backend.address, "not ready: {error:#}");
                }
            }
        }
        sleep(PROBE_PAUSE).await;
    }
}

async fn accept(
    listener: TcpListener,
    backends: Vec<Arc<Backend>>,
    preferred: Option<SocketAddr>,
    permits: Arc<Semaphore>,
) -> Result<()> {
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                // No file descriptors are left, for example: others will end.
                tracing::warn!("accepting: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let backends = order(&backends, preferred);
        tokio::spawn(async move {
            if let Err(error) = pass(client, &backends).await {
                tracing::warn!("{error:#}");
            }
            drop(permit);
        });
    }
}

async fn pass(mut client: TcpStream, backends: &[Arc<Backend>]) -> Result<()> {
    for backend in backends {
        let mut cuts = backend.cuts();
        let connecting = TcpStream::connect(backend.address);
        let Ok(Ok(mut server)) = timeout(BALANCER_CONNECT_PATIENCE, connecting).await else {
            continue;
        };
        let _counted = Counted::new(backend);
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        tokio::select! {
            // Either end may close at any time; that is no news here.
            _ = copy_bidirectional(&mut client, &mut server) => {}
            _ = cuts.changed() => {}
        }
        return Ok(());
    }
    anyhow::bail!("no apiserver can be reached")
}
