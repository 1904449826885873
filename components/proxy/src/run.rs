//! The parts put together.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use mainstay_client::process::Running;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::board::Board;
use crate::command::CommandError;
use crate::engine::{Engine, HealthPorts, Pace, Wish};
use crate::feed::follow;
use crate::health::Health;
use crate::iptables::{self, Iptables};
use crate::local::own_addresses;
use crate::metrics::Figures;
use crate::nft;
use crate::rules::Rules;
use crate::serve::{Answer, Handler, serve, serve_balancers};
use crate::sysctl::Tracking;

/// Which rules are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Nftables,
    Iptables,
}

impl Mode {
    /// Nothing is written yet.
    #[must_use]
    pub fn rules(self, wish: &Wish) -> Box<dyn Rules> {
        let setting = wish.initial();
        match self {
            Self::Nftables => Box::new(nft::Nftables::new(&setting)),
            Self::Iptables => Box::new(Iptables::new(&setting)),
        }
    }
}

impl Mode {
    /// Takes away what the other mode may have left. To be done once this mode's rules are there: services are served
    /// by both meanwhile, and never by neither.
    fn clean_other(self) {
        let cleaned = match self {
            Self::Nftables => iptables::cleanup(),
            Self::Iptables => nft::cleanup(),
        };
        if let Err(error) = cleaned {
            tracing::info!("the other mode's rules were not looked for: {error}");
        }
    }
}

/// What flags say.
#[derive(Clone, Debug)]
pub struct Options {
    pub node_name: String,
    pub mode: Mode,
    pub wish: Wish,
    pub pace: Pace,
    pub healthz: SocketAddr,
    pub metrics: Option<SocketAddr>,
    pub tracking: Tracking,
}

/// Takes away the rules of all modes.
///
/// # Errors
/// Returns the first complaint, after having tried everything.
pub fn cleanup() -> Result<(), CommandError> {
    let (first, second) = (nft::cleanup(), iptables::cleanup());
    first.and(second)
}

/// Proxies until it is told to end; the rules stay.
///
/// # Errors
/// An address for pages cannot be had, or the apiserver's credentials cannot be used.
pub async fn proxy(options: Options, running: Running) -> Result<(), String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    options.tracking.apply(Path::new("/proc/sys"), cores);
    let figures = Figures::new(&running.metrics, options.mode);
    let health = Arc::new(Health::new(options.pace.verify * 2));
    let board = Arc::new(Board::new(
        &options.node_name,
        Arc::clone(&health),
        figures.clone(),
    ));
    let client = running.access.own().map_err(|error| error.to_string())?;
    let (tell, told) = watch::channel(HealthPorts::new());

    let mut tasks = JoinSet::new();
    let page = health_pages(Arc::clone(&health), figures.clone());
    tasks.spawn(serve(listen(options.healthz).await?, page));
    if let Some(address) = options.metrics {
        let metrics = running.metrics.clone();
        let page: Handler = Arc::new(move |path| match path {
            "/metrics" => Answer {
                code: 200,
                media: "application/openmetrics-text; version=1.0.0; charset=utf-8",
                text: metrics.text(),
                header: None,
            },
            "/healthz" | "/proxyMode" => Answer {
                code: 200,
                media: "text/plain; charset=utf-8",
                text: match (path, options.mode) {
                    ("/healthz", _) => "ok",
                    (_, Mode::Nftables) => "nftables",
                    (_, Mode::Iptables) => "iptables",
                }
                .to_owned(),
                header: None,
            },
            _ => Answer::not_found(),
        });
        tasks.spawn(serve(listen(address).await?, page));
    }
    let (at, shown) = (options.wish.node_ports.clone(), Arc::clone(&board));
    let addresses = move || {
        let fib = std::fs::read_to_string("/proc/thread-self/net/fib_trie").unwrap_or_default();
        let primary = shown.node().and_then(|node| node.address);
        at.addresses(&own_addresses(&fib), primary)
    };
    tasks.spawn(serve_balancers(told, addresses, Arc::clone(&health)));

    let (followed, name) = (Arc::clone(&board), options.node_name.clone());
    tasks.spawn(async move { follow(client, &name, followed).await });
    let writer = writer(&options, &board, health, figures, tell);
    running.stop.announced().await;
    board.stop();
    // What is being written is written whole, or not at all.
    let _ = tokio::task::spawn_blocking(move || writer.join()).await;
    Ok(())
}

fn writer(
    options: &Options,
    board: &Arc<Board>,
    health: Arc<Health>,
    figures: Figures,
    tell: watch::Sender<HealthPorts>,
) -> std::thread::JoinHandle<()> {
    let rules = options.mode.rules(&options.wish);
    let (wish, pace) = (options.wish.clone(), options.pace.clone());
    let engine = Engine::new(Arc::clone(board), health, figures, rules, wish, pace, tell);
    let mode = options.mode;
    std::thread::spawn(move || engine.run(|| mode.clean_other()))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| format!("{address}: {error}"))
}

fn health_pages(health: Arc<Health>, figures: Figures) -> Handler {
    Arc::new(move |path| {
        let is_live = match path {
            "/healthz" => false,
            "/livez" => true,
            _ => return Answer::not_found(),
        };
        let (ok, page) = health.page(Instant::now(), is_live);
        let code = if ok { 200 } else { 503 };
        figures.answered_health(is_live, code);
        Answer {
            code,
            media: "application/json",
            text: page.to_string(),
            header: None,
        }
    })
}
