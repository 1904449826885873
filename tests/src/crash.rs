//! Rounds of kill -9 under load, each followed by a full check of what survived.
//!
//! A round: writers and watchers run; a member dies (the leader in half of the rounds, all members in a tenth); writes
//! go on through the survivors; the dead come back; writers pause; then every acknowledged write must be in the
//! history at exactly its revision, the history must have no gaps and no strangers, every watcher must have seen
//! exactly the history, all members must hold the state it folds to, and their HashKV must be equal.

mod history;
mod nemesis;
mod report;
mod watcher;
mod writer;

pub use report::Report;

use crate::cluster::{Cluster, Options};
use crate::limits::CONVERGE_DEADLINE;
use crate::wait::wait_until;
use history::History;
use mainstay_proto::etcdserverpb::CompactionRequest;
use nemesis::Victims;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use watcher::Watchers;
use writer::Writers;

/// Everything the test writes lies below this prefix.
const PREFIX: &str = "c/";
/// Every so many rounds the verified history is compacted away.
const ROUNDS_PER_COMPACTION: u32 = 4;

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Rounds of killing and checking.
    pub rounds: u32,
    /// Decides victims, moments and operations; scheduling is not repeatable, so a seed narrows down, not replays.
    pub seed: u64,
    /// Cluster size.
    pub members: usize,
    /// Concurrent writers, each with one operation in flight.
    pub writers: usize,
    /// Concurrent watchers, spread over the members.
    pub watchers: usize,
}

impl Plan {
    /// Three members with rounds and seed from `MAINSTAY_CRASH_ROUNDS` and `MAINSTAY_CRASH_SEED`.
    pub fn from_environment(default_rounds: u32) -> Self {
        let read = |name: &str| {
            std::env::var(name).ok().map(|text| {
                text.parse::<u64>()
                    .unwrap_or_else(|_| panic!("{name}={text} is not a number"))
            })
        };
        let rounds = read("MAINSTAY_CRASH_ROUNDS").unwrap_or(u64::from(default_rounds));
        Self {
            rounds: u32::try_from(rounds).expect("MAINSTAY_CRASH_ROUNDS is a small number"),
            seed: read("MAINSTAY_CRASH_SEED").unwrap_or_else(|| rand::rng().random()),
            members: 3,
            writers: 12,
            watchers: 6,
        }
    }
}

/// Runs the plan; panics, naming the violation, at the first one.
pub async fn run(plan: Plan, options: Options, mut progress: impl FnMut(&str)) -> Report {
    progress(&format!("{plan:?}"));
    let mut cluster = Cluster::start_with(plan.members, options).await;
    let raws: Arc<[_]> = cluster.raws().into();
    let start = raws[0]
        .set("c/start", "0")
        .await
        .expect("a healthy cluster accepts a write");
    let mut history = History::starting_after(start);
    let watchers = Watchers::start(plan.watchers, &raws, start);
    let writers = Writers::start(plan.writers, &raws, plan.seed);
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let mut report = Report::default();

    for round in 0..plan.rounds {
        let victims = Victims::choose(round, &mut cluster, &mut rng).await;
        nemesis::strike(&victims, &mut cluster, &writers, &mut rng, &mut report).await;

        let paused = writers.pause().await;
        let end = barrier(&raws, &writers, round).await;
        watchers.reach(end).await;
        let reference = &raws[rng.random_range(0..raws.len())];
        history.extend(reference, end).await;
        history.check_writes(&writers.take_outcomes(), &mut report);
        watchers.check(&history);
        history.check_members(&raws).await;
        if round % ROUNDS_PER_COMPACTION == ROUNDS_PER_COMPACTION - 1 {
            let request = CompactionRequest {
                revision: end,
                physical: false,
            };
            raws[0]
                .compact(request)
                .await
                .expect("a healthy cluster compacts");
        }
        history.forget_verified();
        drop(paused);
        report.rounds += 1;
        progress(&format!(
            "round {round}: {victims:?} killed, verified to revision {end}; {report}"
        ));
    }
    report
}

/// A last write after the writers have paused, so that every earlier outcome lies at or below its revision, unless it
/// is one of the unknown ones that the cluster still carries out later.
async fn barrier(raws: &[crate::Raw], writers: &Writers, round: u32) -> i64 {
    let (key, value) = ("c/barrier".to_owned(), format!("{round}"));
    let request = writer::Operation::put(key, value);
    wait_until("the barrier is written", CONVERGE_DEADLINE, async || {
        request.perform(&raws[0], writers.outcomes()).await
    })
    .await
}
