//! The phases of a run, each bounded in time.

use super::finale;
use super::harness::{Harness, check_interrupted, interrupted};
use crate::client::JournalWriter;
use crate::limits::{COOL_TIME, QUIESCE_DEADLINE, RUN_SLACK, WARM_TIME};
use crate::nemesis::{Driven, Schedule, drive, supervise_once};
use crate::plan::Plan;
use crate::progress::{Board, Progress};
use crate::tally::Counts;
use crate::tower::Reign;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// What a run leaves besides its history.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// What the nemesis did.
    pub driven: Driven,
    /// Promises of the store that the harness itself saw broken: members that did not come back, watchers that were
    /// left behind, members that did not end up alike.
    pub broken: Vec<String>,
    /// The last counts.
    pub counts: Counts,
    /// Who led, and when.
    pub reigns: Vec<Reign>,
    /// The fault phase, nanoseconds since the start of the run.
    pub fault_phase: (u64, u64),
    /// When the load ended, nanoseconds since the start of the run.
    pub load_end: u64,
}

/// Runs the plan in the folder `dir`. An error is the harness's own; what the store did wrong is in the result and in
/// the history.
pub async fn run(plan: &Plan, dir: &Path, say: fn(&str)) -> Result<Finished> {
    let (harness, journal, writer) = Harness::start(plan, dir).await?;
    let board = Board::default();
    let progress = Progress::start(journal.clone(), harness.tower.clone(), board.clone(), say);
    let limit = plan.time + RUN_SLACK;
    let finished = match timeout(limit, phases(harness, plan, dir, &board)).await {
        Ok(finished) => finished,
        Err(_) => Err(anyhow::anyhow!("the run did not end within {limit:?}")),
    };
    drop(progress);
    drop(journal);
    let written = end_writer(writer).await;
    finished.and_then(|finished| written.map(|()| finished))
}

/// The journal ends when all who write have; a client that hangs must not hang the run.
async fn end_writer(writer: JournalWriter) -> Result<()> {
    timeout(Duration::from_secs(30), writer.finish())
        .await
        .context("the history was not written in time")?
}

async fn phases(mut harness: Harness, plan: &Plan, dir: &Path, board: &Board) -> Result<Finished> {
    let mut finished = Finished::default();
    board.phase("warm");
    warm_up(&harness, plan).await?;

    board.phase("faults");
    finished.fault_phase.0 = harness.shared.journal.clock.now();
    finished.driven = faults(&harness, plan, board).await?;
    finished.fault_phase.1 = harness.shared.journal.clock.now();
    check_interrupted()?;

    board.phase("quiesce");
    let may_end = plan
        .nemeses
        .iter()
        .any(|nemesis| nemesis.may_end_processes());
    finished
        .broken
        .extend(quiesce(&harness, may_end, &mut finished.driven).await?);
    board.phase("cool");
    sleep(COOL_TIME).await;
    check_interrupted()?;

    board.phase("final");
    harness.stop.stop();
    finished.load_end = harness.shared.journal.clock.now();
    join_clients(&mut harness, plan).await?;
    let healthy = finished.broken.is_empty();
    finished
        .broken
        .extend(finale::read_back(&mut harness, healthy).await?);
    finished.reigns = harness.tower.reigns();
    finished.counts = harness.shared.journal.tally.counts();

    board.phase("stop");
    harness.blocking(|arena| arena.cluster.stop()).await?;
    finale::scan_logs(&harness, plan, dir).await?;
    Ok(finished)
}

/// Load without faults: it must work before anything is broken, or the run says nothing.
async fn warm_up(harness: &Harness, plan: &Plan) -> Result<()> {
    sleep(WARM_TIME).await;
    check_interrupted()?;
    let counts = harness.shared.journal.tally.counts();
    anyhow::ensure!(
        counts.ok > 0 && harness.tower.leader().is_some(),
        "no operation succeeded in {WARM_TIME:?} without any fault ({:?})",
        counts.failures
    );
    let _ = plan;
    Ok(())
}

async fn faults(harness: &Harness, plan: &Plan, board: &Board) -> Result<Driven> {
    let schedule = Schedule::new(&plan.nemeses, plan.time, plan.seed);
    let board = board.clone();
    harness
        .blocking(move |arena| drive(arena, &schedule, &board, interrupted()))
        .await
}

/// Waits until every member answers again, starting those that end by themselves, as a service manager would.
async fn quiesce(harness: &Harness, may_end: bool, driven: &mut Driven) -> Result<Vec<String>> {
    let mut known = driven.clone();
    let (wrong, after) = harness
        .blocking(move |arena| {
            let start = Instant::now();
            let all: Vec<usize> = (0..arena.cluster.len()).collect();
            loop {
                supervise_once(arena, may_end, &mut known)?;
                let wrong = arena.cluster.wait_answering(&all, Duration::from_secs(2));
                if wrong.is_empty() || start.elapsed() > QUIESCE_DEADLINE {
                    return Ok((wrong, known));
                }
                check_interrupted()?;
            }
        })
        .await?;
    *driven = after;
    let late =
        |wrong| format!("not back within {QUIESCE_DEADLINE:?} after the last fault: {wrong}");
    Ok(wrong.into_iter().map(late).collect())
}

async fn join_clients(harness: &mut Harness, plan: &Plan) -> Result<()> {
    let limit = 4 * plan.deadline + Duration::from_secs(10);
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
