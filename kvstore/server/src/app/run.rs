//! The life of the process.

use super::again;
use super::found::{self, Founding, texts};
use super::repair::{self, Standby};
use crate::config::Config;
use crate::flags::{self, Outcome, Values};
use crate::http2::ConnOptions;
use crate::limits::{
    BLOCKING_THREADS_MAX, EXIT_TIMEOUT, REQUEST_OVERHEAD_BYTES, STREAMS_PER_CONNECTION_MAX,
};
use crate::log::{self, LogOptions};
use crate::metrics::Counters;
use crate::os::{Node, OsEnv, PeerTls};
use crate::serve::{Bound, KeepAlive, Reuse, Role, Wiring, Workers, bind, bind_peers};
use crate::service::{ServiceOptions, Shared, ThreadServices};
use crate::tls::{self, ServerTls};
use crate::urls::ListenUrl;
use crate::{systemd, version};
use mainstay_raft::identity::Identity;
use mainstay_raft::repair::{Case, Condition};
use mainstay_raft::{Env as _, NodeConfig, StartError, StopReason};
use mainstay_watch::ShardSeed;
use parking_lot::Mutex;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Runs the program; returns when it is to exit.
pub fn main() -> ExitCode {
    let outcome = flags::parse(std::env::args().skip(1), std::env::vars());
    match outcome {
        Ok(Outcome::Print(text)) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Ok(Outcome::Run(values)) => match run(&values) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                complain(&problem);
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

#[expect(clippy::print_stdout, reason = "the answer to --version and --help")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(
    clippy::print_stderr,
    reason = "for whoever started the process, whatever the log's format"
)]
fn complain(text: &str) {
    eprintln!("{text}");
}

/// How the life of the process ends.
enum End {
    Exit,
    /// The data is damaged, and a note of it was left: start over, to be repaired.
    Again,
}

fn run(values: &Values) -> Result<(), String> {
    let wal_dir = Some(values.get("wal-dir")).filter(|dir| !dir.is_empty());
    let data_dir = Config::data_dir(values);
    let condition = repair::condition(&data_dir, wal_dir.map(Path::new))?;
    let exists = condition != Condition::Fresh;
    let config = Config::build(values, exists).map_err(|error| error.to_string())?;
    start_log(&config.log)?;
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    tracing::info!(
        name = config.name,
        etcd_version = version::SERVER,
        data_dir = %config.data_dir.display(),
        "starting a member"
    );
    raise_file_limit();
    private_dir(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    match runtime.block_on(serve(config, condition))? {
        End::Exit => Ok(()),
        End::Again => Err(again::run()),
    }
}

fn start_log(options: &LogOptions) -> Result<(), String> {
    log::start(options).map_err(|error| format!("cannot open the log: {error}"))?;
    std::panic::set_hook(Box::new(|panic| {
        // A thread that died would leave the member half alive; a supervisor restarts a dead process.
        tracing::error!(panic = %panic, "panic; aborting");
        std::process::abort();
    }));
    Ok(())
}

/// Go programs do the same: every connection needs a descriptor.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

fn private_dir(path: &Path) -> Result<(), String> {
    let failed = |error| format!("cannot access data directory: {}: {error}", path.display());
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)?;
    let mode = std::fs::metadata(path)
        .map_err(failed)?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(
            data_dir = %path.display(),
            mode = format!("{mode:o}"),
            "the data directory should be accessible to its owner only (700)"
        );
    }
    Ok(())
}

/// How long serving waits for the cluster to know this member, beside two election timeouts.
const PUBLISH_LIMIT: Duration = Duration::from_secs(5);

async fn serve(config: Config, condition: Condition) -> Result<End, String> {
    let mut signals = Signals::new()?;
    let reuse = Reuse {
        port: config.reuse_port,
    };
    let listeners = bind(&client_urls(&config), reuse).map_err(|error| error.to_string())?;
    let wiring = wiring(&config, server_tls(&config)?);
    let mut doors = Doors {
        config: &config,
        listeners: &listeners,
        wiring: &wiring,
        standby: None,
    };
    let identity = match condition {
        Condition::Fresh => None,
        Condition::Member(identity) => Some(identity),
        Condition::Damaged(case) => match doors.repair(&case, &mut signals).await? {
            Some(identity) => Some(identity),
            None => return Ok(End::Exit),
        },
    };
    let peer_listeners =
        bind_peers(&config.listen_peer_urls, reuse).map_err(|error| error.to_string())?;
    let env = os_env(peer_listeners, &config)?;
    let founding = founding(&config, identity, &env).await?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let node_config = node_config(&config, founding, threads);
    let started = tokio::select! {
        started = Node::start(env, node_config) => started,
        name = signals.next() => {
            tracing::info!(signal = name, "received signal before serving; ending");
            return Ok(End::Exit);
        }
    };
    let (node, seeds) = match started {
        Ok(started) => started,
        Err(StartError::Damaged(_)) => return Ok(End::Again),
        Err(error) => return Err(error.to_string()),
    };
    if let Some(end) = doors.until_caught_up(&node, &mut signals).await? {
        node.shutdown().await;
        return Ok(end);
    }
    // As with etcd, whoever is served finds this member under its name. Without a quorum the health pages
    // must still answer, so this does not wait for ever.
    let limit = PUBLISH_LIMIT + Duration::from_millis(2 * config.election_ms);
    tokio::select! {
        _ = tokio::time::timeout(limit, node.published()) => {}
        _ = node.stopped() => {}
    }
    let shared = shared(&config, node.clone(), threads);
    doors.close().await;
    let mut workers = start_workers(&wiring, &shared, seeds)
        .map_err(|error| format!("cannot start serving threads: {error}"))?;
    for listener in listeners {
        let how = match (listener.plain, listener.tls) {
            (true, true) => "serving client traffic securely and insecurely",
            (false, true) => "serving client traffic securely",
            _ => "serving client traffic insecurely; this is strongly discouraged!",
        };
        tracing::info!(address = listener.address, "{how}");
        workers.accept(listener);
    }
    let ready = tokio::spawn(announce(node.clone()));
    let end = until_stopped(&node, &mut signals).await;
    ready.abort();
    if matches!(end, Ok(End::Again)) {
        // No call that is under way may be answered from damaged data.
        return end;
    }
    stop(&node, workers).await;
    end
}

/// What clients meet before there is anything to serve them.
struct Doors<'a> {
    config: &'a Config,
    listeners: &'a [Bound],
    wiring: &'a Wiring,
    standby: Option<Standby>,
}

impl Doors<'_> {
    fn standby(&mut self, why: &str) -> Result<&Standby, String> {
        let standby = match self.standby.take() {
            Some(standby) => standby,
            None => Standby::start(self.config, self.listeners, self.wiring, why.to_owned())?,
        };
        Ok(self.standby.insert(standby))
    }

    /// Repairs the member; `None` when it is told to stop before that.
    async fn repair(
        &mut self,
        case: &Case,
        signals: &mut Signals,
    ) -> Result<Option<Identity>, String> {
        let config = self.config;
        let env = os_env(Vec::new(), config)?;
        let standby = self.standby(&format!("data is damaged ({}: {})", case.kind, case.what))?;
        let repaired = tokio::select! {
            repaired = repair::run(config, &env, case, standby) => repaired.map(Some),
            _ = signals.next() => Ok(None),
        };
        env.close();
        repaired
    }

    /// Waits until the member has what its former self may have served.
    async fn until_caught_up(
        &mut self,
        node: &Node,
        signals: &mut Signals,
    ) -> Result<Option<End>, String> {
        let caught_up = node.caught_up();
        tokio::pin!(caught_up);
        if futures_util::poll!(&mut caught_up).is_ready() {
            return Ok(None);
        }
        self.standby("")?
            .tell("data was damaged and is being copied from the peers".to_owned());
        let end = tokio::select! {
            () = caught_up => return Ok(None),
            end = until_stopped(node, signals) => end,
        };
        end.map(Some)
    }

    async fn close(&mut self) {
        if let Some(standby) = self.standby.take() {
            standby.stop().await;
        }
    }
}

fn os_env(listeners: Vec<std::net::TcpListener>, config: &Config) -> Result<OsEnv, String> {
    OsEnv::new(listeners, peer_tls(config)?).map_err(|error| format!("cannot start: {error}"))
}

/// Says so when there is a leader: from then on requests can be answered.
async fn announce(node: Node) {
    let mut changes = node.leader_changes();
    if changes.wait_for(|info| info.leader.is_some()).await.is_ok() {
        tracing::info!(
            member_id = format!("{:x}", node.member_id()),
            cluster_id = format!("{:x}", node.cluster_id()),
            "ready to serve client requests"
        );
        systemd::ready();
    }
}

async fn until_stopped(node: &Node, signals: &mut Signals) -> Result<End, String> {
    tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "received signal; shutting down");
            // Whatever hangs, the process ends in time.
            std::thread::spawn(|| {
                std::thread::sleep(EXIT_TIMEOUT);
                std::process::exit(0);
            });
            Ok(End::Exit)
        }
        reason = node.stopped() => match reason {
            StopReason::Shutdown => Ok(End::Exit),
            StopReason::Removed => {
                tracing::warn!("the member has been permanently removed from the cluster");
                Ok(End::Exit)
            }
            StopReason::Damaged(why) => {
                tracing::error!(why, "starting over, to be repaired");
                Ok(End::Again)
            }
            StopReason::Fatal(why) => {
                tracing::error!(error = why, "the member cannot go on");
                Err(format!("fatal: {why}"))
            }
        },
    }
}

/// Leadership is handed over while calls that are under way finish.
async fn stop(node: &Node, workers: Workers) {
    let begun = Instant::now();
    node.shutdown().await;
    // Joining the threads blocks, and nothing else runs here any more.
    let _ = tokio::task::spawn_blocking(move || workers.stop()).await;
    tracing::info!(took = ?begun.elapsed(), "stopped");
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, String> {
        let listen =
            |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "terminated",
            _ = self.interrupt.recv() => "interrupt",
        }
    }
}

fn client_urls(config: &Config) -> Vec<(Role, ListenUrl)> {
    let main = if config.listen_client_http_urls.is_empty() {
        Role::Everything
    } else {
        Role::Grpc
    };
    let lists = [
        (main, &config.listen_client_urls),
        (Role::Http, &config.listen_client_http_urls),
        (Role::Metrics, &config.listen_metrics_urls),
    ];
    lists
        .into_iter()
        .flat_map(|(role, urls)| urls.iter().map(move |url| (role, url.clone())))
        .collect()
}

fn server_tls(config: &Config) -> Result<Option<Arc<ServerTls>>, String> {
    let lists = [
        &config.listen_client_urls,
        &config.listen_client_http_urls,
        &config.listen_metrics_urls,
    ];
    if !lists.into_iter().flatten().any(|url| url.tls) {
        return Ok(None);
    }
    let tls = ServerTls::new(&config.client_tls).map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(tls)))
}

fn peer_tls(config: &Config) -> Result<Option<PeerTls>, String> {
    let secure = config.listen_peer_urls.iter().any(|url| url.tls)
        || config.initial_cluster.values().flatten().any(|url| url.tls);
    if !secure {
        return Ok(None);
    }
    tls::peer(&config.peer_tls)
        .map(Some)
        .map_err(|error| error.to_string())
}

async fn founding(
    config: &Config,
    identity: Option<Identity>,
    env: &OsEnv,
) -> Result<Founding, String> {
    if let Some(Identity {
        member_id,
        cluster_id,
        ..
    }) = identity
    {
        tracing::info!(data_dir = %config.data_dir.display(), "server has already been initialized");
        let members = found::from_flags(config).members;
        return Ok(Founding {
            member_id,
            cluster_id,
            members,
        });
    }
    if config.join_existing {
        return found::from_peers(config, env).await;
    }
    Ok(found::from_flags(config))
}

fn node_config(config: &Config, founding: Founding, threads: usize) -> NodeConfig {
    NodeConfig {
        name: config.name.clone(),
        data_dir: config.data_dir.clone(),
        wal_dir: config.wal_dir.clone(),
        member_id: founding.member_id,
        cluster_id: founding.cluster_id,
        cluster_token: config.cluster_token.clone(),
        initial_members: founding.members,
        join_existing: config.join_existing,
        advertise_client_urls: texts(&config.advertise_client_urls),
        heartbeat_ms: config.heartbeat_ms,
        election_ms: config.election_ms,
        pre_vote: config.pre_vote,
        max_request_bytes: config.max_request_bytes,
        quota_bytes: config.quota_bytes,
        snapshot_count: config.snapshot_count,
        max_learners: config.max_learners,
        watch_shards: threads,
        compare_interval: Some(config.compare_interval).filter(|every| !every.is_zero()),
        scrub_interval: Some(config.scrub_interval).filter(|every| !every.is_zero()),
        unsafe_no_fsync: config.unsafe_no_fsync,
    }
}

fn shared(config: &Config, node: Node, threads: usize) -> Arc<Shared> {
    Arc::new(Shared {
        cluster_id: node.cluster_id(),
        member_id: node.member_id(),
        node,
        options: ServiceOptions {
            max_txn_ops: config.max_txn_ops,
            max_request_bytes: config.max_request_bytes,
            election: Duration::from_millis(config.election_ms),
            progress_interval: config.progress_interval,
            slow_request: config.slow_request,
            extensive_metrics: config.extensive_metrics,
        },
        counters: Counters::new(threads),
        started: Instant::now(),
        data_dir: config.data_dir.clone(),
    })
}

fn wiring(config: &Config, tls: Option<Arc<ServerTls>>) -> Wiring {
    Wiring {
        options: ConnOptions {
            message_bytes_max: config.max_request_bytes + REQUEST_OVERHEAD_BYTES,
            streams_max: config
                .max_concurrent_streams
                .min(STREAMS_PER_CONNECTION_MAX),
            ping_interval_min: config.keepalive_min_time,
        },
        keep_alive: KeepAlive {
            interval: config.keepalive_interval,
            timeout: config.keepalive_timeout,
        },
        tls,
    }
}

fn start_workers(
    wiring: &Wiring,
    shared: &Arc<Shared>,
    seeds: Vec<ShardSeed>,
) -> std::io::Result<Workers> {
    let shared = Arc::clone(shared);
    let count = seeds.len();
    let seeds: Vec<_> = seeds
        .into_iter()
        .map(|seed| Mutex::new(Some(seed)))
        .collect();
    Workers::start(count, wiring, move |index| {
        let seed = seeds[index]
            .lock()
            .take()
            .expect("each thread is started once");
        ThreadServices::new(Arc::clone(&shared), index, seed)
    })
}
