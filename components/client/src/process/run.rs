//! From `main` to the end.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;

use super::figures::ProcessFigures;
use super::flags::Flags;
use super::stop::{Signals, Stop};
use crate::access::{Access, AccessError, AccessOptions};
use crate::events::Events;
use crate::leader::{ElectionOptions, Elector, Fence, identity};
use crate::limits::{ANSWER_TIMEOUT, EVENTS_GRACE, WORK_GRACE};
use crate::metrics::Metrics;
use crate::serve::{self, Config, Guard, Health, Pages, TlsError};

/// What is different from component to component.
#[derive(Clone, Debug)]
pub struct Component {
    /// As `kube-controller-manager`: also the name of its Lease.
    pub name: &'static str,
    /// Port of its pages.
    pub port: u16,
    /// What `/configz` shows.
    pub config: Value,
}

/// What a component's work is given, once it may begin.
#[derive(Clone, Debug)]
pub struct Running {
    pub access: Access,
    /// Whether this instance may write.
    pub fence: Fence,
    pub metrics: Metrics,
    pub health: Health,
    /// Announced when the work shall end; there are [`WORK_GRACE`] for it.
    pub stop: Stop,
}

/// Why a component ended by itself.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("election: {0}")]
    Election(String),
    #[error("{0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("leadership was lost")]
    Lost,
    #[error("the work ended by itself")]
    Work,
    #[error("the work panicked")]
    Panicked,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    name: String,
}

/// Runs a component until it is told to end (0), or something went wrong or leadership was lost (1). `work` begins
/// when this instance is elected, and must not end before [`Running::stop`].
///
/// SIGTERM and SIGINT end it in order: the work ends, its writes are waited for, the lease is released. A second
/// one ends it at once.
pub fn run<F, W>(component: Component, flags: &Flags, work: F) -> ExitCode
where
    F: FnOnce(Running) -> W,
    W: Future<Output = ()> + Send + 'static,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Fails only where somebody has set it up before.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(live(component, flags, work));
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn live<F, W>(component: Component, flags: &Flags, work: F) -> Result<(), Ended>
where
    F: FnOnce(Running) -> W,
    W: Future<Output = ()> + Send + 'static,
{
    let mut signals = Signals::new()?;
    let metrics = Metrics::default();
    metrics.collect(ProcessFigures::new());
    let options = AccessOptions {
        kubeconfig: flags.kubeconfig.clone(),
        masters: flags.master.clone(),
        certificate: None,
        name: component.name.to_owned(),
        requests_max: flags.kube_api_requests_max,
    };
    let fence = match flags.leader_elect {
        true => Fence::closed(),
        false => Fence::open(),
    };
    let access = Access::open(&options, &fence, &metrics).await?;
    let running = Running {
        access,
        fence,
        metrics,
        health: Health::default(),
        stop: Stop::default(),
    };
    let mut pages = JoinSet::new();
    listen(&component, flags, &running, &mut pages).await?;
    let mut candidate = match flags.leader_elect {
        true => Some(Candidate::new(&component, flags, &running)?),
        false => None,
    };
    if let Some(candidate) = &mut candidate {
        tokio::select! {
            () = candidate.elector.acquire() => {}
            () = signals.next() => return Ok(()),
        }
    }
    let mut working = JoinSet::new();
    working.spawn(work(running.clone()));
    let lost = async {
        match &mut candidate {
            Some(candidate) => candidate.elector.hold().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = working.join_next() => return Err(match ended {
            Some(Err(_)) => Ended::Panicked,
            _ => Ended::Work,
        }),
        () = lost => return Err(Ended::Lost),
        () = signals.next() => {}
    }
    tracing::info!("ending");
    tokio::select! {
        () = end(&running, working, candidate) => Ok(()),
        () = signals.next() => Err(Ended::Io(std::io::ErrorKind::Interrupted.into())),
    }
}

/// The orderly end. What still runs after its time is dropped as if the process had been killed.
async fn end(running: &Running, mut working: JoinSet<()>, candidate: Option<Candidate>) {
    running.stop.announce();
    let renewed = async {
        match candidate {
            // The work that ends still needs the lease.
            Some(mut candidate) => {
                tokio::select! {
                    () = candidate.elector.hold() => {}
                    _ = timeout(WORK_GRACE, working.join_next()) => {}
                }
                Some(candidate)
            }
            None => {
                let _ = timeout(WORK_GRACE, working.join_next()).await;
                None
            }
        }
    };
    let candidate = renewed.await;
    // Nobody else may lead while a write of this process is on its way.
    running.fence.close();
    let drained = timeout(ANSWER_TIMEOUT, running.fence.drained()).await;
    let Some(mut candidate) = candidate else {
        return;
    };
    match drained {
        Ok(()) => {
            if let Err(error) = candidate.elector.release().await {
                tracing::warn!("the lease was not released: {error}");
            }
        }
        Err(_) => tracing::warn!("writes are under way: the lease is left to run out"),
    }
    let _ = timeout(EVENTS_GRACE, candidate.events.flushed()).await;
}

/// The election of this process.
struct Candidate {
    elector: Elector,
    events: Events,
}

impl Candidate {
    fn new(component: &Component, flags: &Flags, running: &Running) -> Result<Self, Ended> {
        let name = flags.leader_elect_resource_name.as_deref();
        let namespace = &flags.leader_elect_resource_namespace;
        let mut options =
            ElectionOptions::new(namespace, name.unwrap_or(component.name), identity());
        options.lease_duration = flags.leader_elect_lease_duration;
        options.renew_deadline = flags.leader_elect_renew_deadline;
        options.retry_period = flags.leader_elect_retry_period;
        options.check().map_err(Ended::Election)?;
        let leads = Family::<Name, Gauge>::default();
        let help = "1 while this process leads";
        running
            .metrics
            .register("leader_election_master_status", help, leads.clone());
        let gauge = leads.get_or_create_owned(&Name {
            name: options.name.clone(),
        });
        let (fence, leading) = (running.fence.clone(), gauge.clone());
        running.health.add("leaderElection", move || {
            match leading.get() == 1 && !fence.is_open() {
                true => Err("the lease was not renewed in time".to_owned()),
                false => Ok(()),
            }
        });
        let events = Events::start(running.access.own()?, component.name);
        let client = running.access.for_leases(options.patience())?;
        let fence = running.fence.clone();
        let elector = Elector::new(client, options, fence, events.clone(), gauge);
        Ok(Self { elector, events })
    }
}

async fn listen(
    component: &Component,
    flags: &Flags,
    running: &Running,
    serving: &mut JoinSet<()>,
) -> Result<(), Ended> {
    let port = flags.secure_port.unwrap_or(component.port);
    if port == 0 {
        return Ok(());
    }
    let tls = match (&flags.tls_cert_file, &flags.tls_private_key_file) {
        (Some(cert), Some(key)) => serve::from_files(cert, key)?,
        _ => serve::made(component.name, flags.bind_address)?,
    };
    let always = flags.authorization_always_allow_paths.clone();
    let pages = Pages {
        health: running.health.clone(),
        metrics: running.metrics.clone(),
        config: Arc::new(Config(component.config.clone())),
        guard: Some(Guard::new(running.access.own()?, always)),
    };
    let address = SocketAddr::new(flags.bind_address, port);
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| Ended::Listen(address, error))?;
    serving.spawn(serve::serve(listener, tls, Arc::new(pages)));
    Ok(())
}
