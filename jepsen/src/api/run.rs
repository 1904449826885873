//! The phases of a run, each bounded in time.

use super::arena::Arena;
use super::client::Shared;
use super::driver::{drive, supervise};
use super::finale;
use super::http::Identity;
use super::journal::{Journal, Writer};
use super::load;
use super::nemesis::ApiNemesis;
use super::plan::ApiPlan;
use super::schedule::schedule;
use super::servers::{Servers, wait_ready};
use super::witness::Witness;
use crate::client::{Load, Stop};
use crate::cluster::Cluster;
use crate::limits::{
    API_READY_DEADLINE, COOL_TIME, PREPARE_DEADLINE, PROGRESS_INTERVAL, QUIESCE_DEADLINE,
    READY_DEADLINE, RUN_SLACK, WARM_TIME,
};
use crate::progress::Board;
use crate::run::interrupted;
use crate::tower::{Reign, Tower, Watchmen};
use anyhow::{Context, Result, bail, ensure};
use mainstay_check::api::{ApiRun, Verb};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// What all keys of the servers begin with in the store.
pub(super) const PREFIX: &str = "/registry/";

/// What a run leaves besides its history.
#[derive(Clone, Debug, Default)]
pub(super) struct Finished {
    /// Promises that the harness itself saw broken.
    pub(super) broken: Vec<String>,
    /// Processes that ended although nobody ended them.
    pub(super) died: Vec<String>,
    pub(super) reigns: Vec<Reign>,
    pub(super) fault_phase: (u64, u64),
    pub(super) load_end: u64,
}

/// Servers under load.
pub(super) struct Harness {
    pub(super) arena: Arc<Mutex<Arena>>,
    pub(super) shared: Arc<Shared>,
    pub(super) tower: Arc<Tower>,
    pub(super) clients: JoinSet<()>,
    pub(super) informers: JoinSet<()>,
    pub(super) places: Vec<(&'static str, Arc<AtomicI64>)>,
    /// Where informers have to arrive.
    pub(super) target: watch::Sender<i64>,
    pub(super) witness: Witness,
    pub(super) urls: Vec<String>,
    stop: Stop,
    _watchmen: Watchmen,
}

/// Carries out the plan in the folder `dir`. An error is the harness's own.
pub(super) async fn run(plan: &ApiPlan, dir: &Path, say: fn(&str)) -> Result<Finished> {
    let (harness, journal, writer) = Harness::start(plan, dir).await?;
    let board = Board::default();
    let progress = tokio::spawn(progress(
        journal.clone(),
        harness.tower.clone(),
        board.clone(),
        say,
    ));
    let limit = plan.store.time + RUN_SLACK;
    let finished = match timeout(limit, phases(harness, plan, dir, &board)).await {
        Ok(finished) => finished,
        Err(_) => Err(anyhow::anyhow!("the run did not end within {limit:?}")),
    };
    progress.abort();
    // Its journal goes with it.
    let _ = progress.await;
    drop(journal);
    let written = timeout(Duration::from_secs(30), writer.finish())
        .await
        .context("the history was not written in time")?;
    finished.and_then(|finished| written.map(|()| finished))
}

async fn phases(
    mut harness: Harness,
    plan: &ApiPlan,
    dir: &Path,
    board: &Board,
) -> Result<Finished> {
    let mut finished = Finished::default();
    let journal = harness.shared.journal.clone();
    board.phase("warm");
    sleep(WARM_TIME).await;
    let ok = journal.counts.ok.load(Ordering::Relaxed);
    ensure!(
        ok > 0,
        "no operation succeeded in {WARM_TIME:?} without any fault ({:?})",
        journal.counts.failures()
    );

    board.phase("faults");
    finished.fault_phase.0 = journal.clock.now();
    finished.died = faults(&harness, plan, board).await?;
    finished.fault_phase.1 = journal.clock.now();
    check_interrupted()?;

    board.phase("quiesce");
    let late = quiesce(&harness, &mut finished.died).await?;
    finished.broken.extend(late);
    board.phase("cool");
    sleep(COOL_TIME).await;

    board.phase("final");
    harness.stop.stop();
    finished.load_end = journal.clock.now();
    join_clients(&mut harness, plan).await?;
    finished.broken.extend(finale::finish(&mut harness).await?);
    finished.reigns = harness.tower.reigns();

    board.phase("stop");
    let stopped = harness.blocking(|arena| {
        let broken = arena.servers.stop(crate::limits::API_EXIT_DEADLINE)?;
        arena.cluster.stop()?;
        Ok(broken)
    });
    finished.broken.extend(stopped.await?);
    finale::scan_logs(&harness, plan, dir).await?;
    Ok(finished)
}

fn check_interrupted() -> Result<()> {
    match interrupted().load(Ordering::Relaxed) {
        true => bail!("interrupted"),
        false => Ok(()),
    }
}

async fn faults(harness: &Harness, plan: &ApiPlan, board: &Board) -> Result<Vec<String>> {
    let (time, seed) = (plan.store.time, plan.store.seed);
    let acts = schedule(&plan.nemeses, time, seed);
    let (journal, board) = (harness.shared.journal.clone(), board.clone());
    harness
        .blocking(move |arena| drive(arena, &acts, time, &journal, &board, interrupted()))
        .await
}

/// Waits until every member and every server answers again.
async fn quiesce(harness: &Harness, died: &mut Vec<String>) -> Result<Vec<String>> {
    let journal = harness.shared.journal.clone();
    let mut known = died.clone();
    let (mut broken, after) = harness
        .blocking(move |arena| {
            supervise(arena, &journal, &mut known)?;
            let all: Vec<usize> = (0..arena.cluster.len()).collect();
            Ok((arena.cluster.wait_answering(&all, QUIESCE_DEADLINE), known))
        })
        .await?;
    *died = after;
    for (server, address) in harness.shared.addresses.iter().enumerate() {
        let ready = wait_ready(*address, &harness.shared.identity, QUIESCE_DEADLINE);
        if let Err(why) = ready.await {
            broken.push(format!("s{server} is not ready: {why}"));
        }
    }
    let late = |wrong| format!("not back within {QUIESCE_DEADLINE:?}: {wrong}");
    Ok(broken.into_iter().map(late).collect())
}

async fn join_clients(harness: &mut Harness, plan: &ApiPlan) -> Result<()> {
    // A namespace's life is the longest turn.
    let limit = 16 * plan.store.deadline + Duration::from_secs(10);
    let all = async {
        while let Some(ended) = harness.clients.join_next().await {
            ended.context("a client panicked")?;
        }
        Ok(())
    };
    timeout(limit, all)
        .await
        .context("the clients did not end in time")?
}

/// The history's first line.
fn describe(plan: &ApiPlan) -> ApiRun {
    use Verb as V;
    let verbs = [
        V::Create,
        V::Update,
        V::Patch,
        V::Status,
        V::Delete,
        V::Get,
        V::List,
    ];
    let faults = plan.nemeses.iter().filter(|one| **one != ApiNemesis::None);
    ApiRun {
        name: plan.name(),
        seed: plan.store.seed,
        servers: u32::try_from(plan.servers).expect("there are few servers"),
        members: u32::try_from(plan.store.members).expect("there are few members"),
        faults: faults.map(|one| (one.name().to_owned(), 1)).collect(),
        verbs: verbs.into_iter().map(|verb| (verb, 1)).collect(),
        events: 1,
    }
}

impl Harness {
    async fn start(plan: &ApiPlan, dir: &Path) -> Result<(Self, Journal, Writer)> {
        let cluster = start_cluster(plan, dir).await?;
        let urls = cluster.urls();
        let (journal, writer) = Journal::create(&dir.join("history.jsonl"), describe(plan))?;
        let (tower, watchmen) = Tower::start(&urls, journal.clock);
        // Before the first write, so that nothing has happened before.
        let witness = Witness::start(urls.clone(), journal.clone());
        let (servers, identity) = start_servers(plan, &urls, dir).await?;
        let (load, stop) = Load::new(plan.store.rate, load::paced(plan.servers));
        let shared = Arc::new(Shared::new(
            journal.clone(),
            load,
            identity,
            servers.addresses(),
            plan.store.deadline,
            plan.store.seed,
        ));
        load::prepare(&shared).await.context("preparing the load")?;
        let mut clients = JoinSet::new();
        load::start(&shared, &mut clients);
        let (target, seen_target) = watch::channel(0);
        let mut informers = JoinSet::new();
        let places = load::start_informers(&shared, &seen_target, &mut informers);
        let arena = Arena {
            cluster,
            servers,
            tower: tower.clone(),
            rng: StdRng::seed_from_u64(plan.store.seed ^ 0x6e65_6d65_7369_7301),
            runtime: Handle::current(),
            seen: witness.seen.clone(),
        };
        let harness = Self {
            arena: Arc::new(Mutex::new(arena)),
            shared,
            tower,
            clients,
            informers,
            places,
            target,
            witness,
            urls,
            stop,
            _watchmen: watchmen,
        };
        Ok((harness, journal, writer))
    }

    /// Does blocking work with the processes.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Arena) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let arena = self.arena.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Poisoned only by a panic, after which nothing of the run counts.
            work(&mut arena.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await.context("a thread of the harness panicked")?
    }
}

async fn start_cluster(plan: &ApiPlan, dir: &Path) -> Result<Cluster> {
    let (plan, logs, runtime) = (plan.store.clone(), dir.to_owned(), Handle::current());
    let starting = tokio::task::spawn_blocking(move || {
        let mut cluster = Cluster::start(&plan, &logs, runtime)?;
        cluster.wait_started()?;
        Ok(cluster)
    });
    timeout(PREPARE_DEADLINE + READY_DEADLINE, starting)
        .await
        .context("starting the store took too long")?
        .context("starting the store")?
}

async fn start_servers(plan: &ApiPlan, urls: &[String], dir: &Path) -> Result<(Servers, Identity)> {
    let members = urls
        .iter()
        .map(|url| url.trim_start_matches("http://").parse())
        .collect::<Result<Vec<SocketAddr>, _>>()
        .context("addresses of the members")?;
    let (plan, logs) = (plan.clone(), dir.to_owned());
    let servers = tokio::task::spawn_blocking(move || Servers::start(&plan, &members, &logs))
        .await
        .context("a thread of the harness panicked")??;
    let identity = Identity::read(&servers.kubeconfig())?;
    for (server, address) in servers.addresses().into_iter().enumerate() {
        let ready = wait_ready(address, &identity, API_READY_DEADLINE).await;
        ready.map_err(|why| anyhow::anyhow!("s{server} did not become ready: {why}"))?;
    }
    Ok((servers, identity))
}

/// A line every second.
async fn progress(journal: Journal, tower: Arc<Tower>, board: Board, say: fn(&str)) {
    let mut next = Instant::now();
    let mut last = 0;
    loop {
        next += PROGRESS_INTERVAL;
        sleep_until(next).await;
        let counts = &journal.counts;
        let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let ok = read(&counts.ok);
        let leader = tower
            .leader()
            .map_or("none".to_owned(), |one| format!("m{one}"));
        let (phase, faults) = board.shown();
        say(&format!(
            "{:>4}s {phase:<8} ok {ok:>7} ({:>5}/s) fail {:>6} unknown {:>4} events {:>8} | leader {leader} | {faults}",
            journal.clock.elapsed().as_secs(),
            ok - last,
            read(&counts.fail),
            read(&counts.unknown),
            read(&counts.events),
        ));
        last = ok;
    }
}
