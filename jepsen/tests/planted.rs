//! Bugs on purpose: which run catches which.
//!
//! The table says for every planted bug by which workload under which nemesis it is caught on real processes, or why
//! that is left to the simulation. One test keeps the table complete; another, ignored because it takes minutes and needs a
//! server with the bugs compiled in, keeps it true.

use mainstay_jepsen::nemesis::Nemesis;
use mainstay_jepsen::one::carry_out;
use mainstay_jepsen::plan::Plan;
use mainstay_jepsen::subject::{Kind, Subject};
use mainstay_jepsen::verdict::Grade;
use mainstay_jepsen::workload::Workload;
use mainstay_planted::{Bug, VARIABLE};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// Names the server that was built with the feature `planted`, if it is not beside the harness.
const SERVER_VARIABLE: &str = "MAINSTAY_PLANTED_SERVER";
/// Names a single bug to try, instead of all.
const ONLY_VARIABLE: &str = "MAINSTAY_PLANTED_ONLY";
/// Seeds tried before a bug counts as not caught.
const TRIES: u64 = 4;

/// How a bug is caught.
enum Catch {
    /// By this run.
    Run {
        workload: Workload,
        nemeses: &'static [Nemesis],
        members: usize,
        seconds: u64,
        rate: u32,
        clients: usize,
    },
    /// By the simulation only; why.
    Simulation(&'static str),
}

fn run(workload: Workload, nemeses: &'static [Nemesis], members: usize) -> Catch {
    Catch::Run {
        workload,
        nemeses,
        members,
        seconds: 15,
        rate: 400,
        clients: 4,
    }
}

fn fast(workload: Workload, nemeses: &'static [Nemesis], members: usize) -> Catch {
    Catch::Run {
        workload,
        nemeses,
        members,
        seconds: 15,
        rate: 0,
        clients: 8,
    }
}

fn table() -> Vec<(Bug, Catch)> {
    use Nemesis as N;
    use Workload as W;
    vec![
        (Bug::AckBeforeFsync, run(W::Set, &[N::PowerAll], 1)),
        (
            Bug::StaleReadAfterPause,
            fast(W::Register, &[N::PauseLeader], 3),
        ),
        (Bug::ReusedReadIndex, fast(W::Register, &[N::Delay], 3)),
        (Bug::LostWatchEvent, run(W::Watch, &[N::None], 3)),
        (Bug::DoubledWatchEvent, run(W::Watch, &[N::None], 3)),
        (
            // Only what is in tables when it is opened is miscounted: a compaction flushes.
            Bug::RevisionReuse,
            run(W::Register, &[N::KillAll, N::Compaction], 3),
        ),
        (
            Bug::LeaseDroppedOnLeaderChange,
            run(W::Lease, &[N::KillLeader], 3),
        ),
        (
            Bug::TornBatch,
            Catch::Simulation(
                "a flush must fall between two writes that are microseconds apart, just before a kill",
            ),
        ),
        (Bug::MissedPrevKv, run(W::Register, &[N::None], 3)),
        (Bug::NonAtomicRevision, run(W::Txn, &[N::None], 3)),
        (Bug::WrongCompactionEdge, run(W::Txn, &[N::Compaction], 3)),
        (
            Bug::VoteForgotten,
            Catch::Simulation(
                "a member must vote, die, come back and vote again within one election, which takes more luck than time permits",
            ),
        ),
        (Bug::LeaseTooEarly, run(W::Lease, &[N::None], 3)),
        (
            Bug::DamageServed,
            Catch::Simulation(
                "a bit must flip in a value of the log that is in no table yet, which few of a file's bits are",
            ),
        ),
    ]
}

#[test]
fn every_planted_bug_has_its_run() {
    let table = table();
    let named: BTreeSet<Bug> = table.iter().map(|(bug, _)| *bug).collect();
    let all: BTreeSet<Bug> = Bug::ALL.iter().copied().collect();
    assert_eq!(named, all, "the table names every bug there is");
    assert_eq!(table.len(), all.len(), "no bug is named twice");
    let left = table
        .iter()
        .filter(|(_, catch)| matches!(catch, Catch::Simulation(_)))
        .count();
    assert!(left <= 3, "{left} bugs are left to the simulation");
}

/// The server with bugs: named by a variable, else beside this test's own folder.
fn planted_server() -> PathBuf {
    if let Some(path) = std::env::var_os(SERVER_VARIABLE) {
        return path.into();
    }
    let executable = std::env::current_exe().expect("a running test has an executable");
    let deps = executable.parent().expect("it lies in a folder");
    deps.parent()
        .expect("deps lies in a folder")
        .join("kvstore-planted")
}

fn plan(bug: Bug, catch: &Catch, seed: u64, out: PathBuf) -> Option<Plan> {
    let Catch::Run {
        workload,
        nemeses,
        members,
        seconds,
        rate,
        clients,
    } = catch
    else {
        return None;
    };
    let server = planted_server();
    let mut subject =
        Subject::find(Kind::Kvstore, Some(&server)).expect("a server with planted bugs");
    subject
        .env
        .push((VARIABLE.to_owned(), bug.name().to_owned()));
    Some(Plan {
        workload: *workload,
        nemeses: nemeses.to_vec(),
        members: *members,
        time: Duration::from_secs(*seconds),
        rate: *rate,
        clients_per_member: *clients,
        deadline: Duration::from_secs(2),
        seed,
        subject,
        named_binary: true,
        loopback: false,
        out,
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and needs kvstore-planted: `make jepsen-planted`"]
async fn every_planted_bug_is_caught() {
    let server = planted_server();
    assert!(
        server.is_file(),
        "no server with planted bugs at {}; name one in {SERVER_VARIABLE}",
        server.display()
    );
    let only = std::env::var(ONLY_VARIABLE).ok();
    let out = tempfile::tempdir().expect("the temporary folder is writable");
    let mut missed = Vec::new();
    for (bug, catch) in table() {
        if only.as_ref().is_some_and(|only| only != bug.name()) {
            continue;
        }
        let mut caught = None;
        for seed in 1..=TRIES {
            let Some(plan) = plan(bug, &catch, seed, out.path().to_owned()) else {
                break;
            };
            let (result, _) = carry_out(&plan, |_| {}).await.expect("the harness works");
            // The harness must not pass off its own failure as a catch.
            assert!(
                result.grade != Grade::HarnessFault,
                "{bug:?}: {:?}",
                result.harness
            );
            if result.grade == Grade::Invalid {
                let why = result.anomalies.first().map_or_else(
                    || result.broken.join("; "),
                    |anomaly| format!("{}: {}", anomaly.kind, anomaly.text),
                );
                caught = Some(format!("{} with seed {seed}: {why}", plan.name()));
                break;
            }
        }
        match (&caught, &catch) {
            (Some(how), _) => println!("{:<32} caught by {how}", bug.name()),
            (None, Catch::Simulation(why)) => {
                println!("{:<32} left to the simulation: {why}", bug.name())
            }
            (None, Catch::Run { .. }) => {
                println!("{:<32} NOT CAUGHT in {TRIES} runs", bug.name());
                missed.push(bug.name());
            }
        }
    }
    assert!(missed.is_empty(), "not caught: {}", missed.join(", "));
}
