//! The pieces of a run that live as long as it does.

use crate::client::{Client, Journal, JournalWriter, Load, Shared};
use crate::cluster::Cluster;
use crate::limits::PREPARE_DEADLINE;
use crate::nemesis::Arena;
use crate::plan::Plan;
use crate::subject::Kind;
use crate::tower::{Tower, Watchmen};
use crate::workload::Witness;
use anyhow::{Context, Result, bail};
use mainstay_check::history::RunInfo;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Set by the first SIGINT or SIGTERM: runs then heal, clean up and end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether somebody wants the program to end.
pub fn interrupted() -> &'static AtomicBool {
    &INTERRUPTED
}

/// Ends a phase early when somebody wants the program to end.
pub(super) fn check_interrupted() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

/// A cluster under load.
pub(super) struct Harness {
    /// Locked by whoever works with the cluster; never for long but by the nemesis.
    pub(super) arena: Arc<Mutex<Arena>>,
    pub(super) shared: Arc<Shared>,
    pub(super) tower: Arc<Tower>,
    pub(super) clients: JoinSet<()>,
    pub(super) witnesses: Vec<Witness>,
    pub(super) target: watch::Sender<Option<i64>>,
    pub(super) stop: crate::client::Stop,
    pub(super) _watchmen: Watchmen,
}

/// The history's first line.
fn describe(plan: &Plan) -> RunInfo {
    let mut info = RunInfo {
        name: plan.name(),
        seed: plan.seed,
        members: u32::try_from(plan.members).expect("there are few members"),
        ..RunInfo::default()
    };
    plan.workload.describe(&mut info);
    for nemesis in &plan.nemeses {
        if *nemesis != crate::nemesis::Nemesis::None {
            info.demand.faults.insert(nemesis.name().to_owned(), 1);
        }
    }
    info
}

impl Harness {
    /// Starts the cluster and, when it serves, the journal, the witnesses and the clients.
    pub(super) async fn start(plan: &Plan, dir: &Path) -> Result<(Self, Journal, JournalWriter)> {
        let cluster = start_cluster(plan.clone(), dir).await?;
        let (journal, writer) = Journal::create(&dir.join("history.jsonl"), describe(plan))?;
        let urls = cluster.urls();
        let (tower, watchmen) = Tower::start(&urls, journal.clock);
        let (load, stop) = Load::new(plan.rate, plan.members * plan.clients_per_member);
        let mut shared = Shared::new(journal.clone(), load, urls, plan.deadline, plan.seed);
        // Before 3.6 etcd's answer to a manual progress request can overtake events.
        shared.progress = plan.subject.kind == Kind::Kvstore || plan.subject.at_least(3, 6);
        let shared = Arc::new(shared);
        let (target, seen) = watch::channel(None);
        let witness = |member| {
            let client = Client::new(&shared, 200_000 + member, member);
            Witness::start(client, seen.clone())
        };
        let witnesses = (0..plan.members).map(witness).collect();
        let mut clients = JoinSet::new();
        plan.workload
            .start(&shared, plan.clients_per_member, &mut clients);
        let arena = Arena {
            cluster,
            tower: tower.clone(),
            shared: shared.clone(),
            rng: StdRng::seed_from_u64(plan.seed ^ 0x6e65_6d65_7369_7300),
            runtime: Handle::current(),
            injured: Vec::new(),
        };
        let arena = Arc::new(Mutex::new(arena));
        let harness = Self {
            arena,
            shared,
            tower,
            clients,
            witnesses,
            target,
            stop,
            _watchmen: watchmen,
        };
        Ok((harness, journal, writer))
    }

    /// Does blocking work with the cluster.
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

async fn start_cluster(plan: Plan, dir: &Path) -> Result<Cluster> {
    let logs = dir.to_owned();
    let runtime = Handle::current();
    let starting = tokio::task::spawn_blocking(move || {
        let mut cluster = Cluster::start(&plan, &logs, runtime)?;
        cluster.wait_started()?;
        Ok(cluster)
    });
    let limit = PREPARE_DEADLINE + crate::limits::READY_DEADLINE;
    timeout(limit, starting)
        .await
        .context("starting the cluster took too long")?
        .context("starting the cluster")?
}
