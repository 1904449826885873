//! The oracles are trusted only because they catch what is wrong: each bug planted, and the seeds it takes.

use std::collections::BTreeSet;
use std::path::Path;

use mainstay_planted::Bug;
use mainstay_sim::campaign::{Campaign, Verdict};

/// Who is to catch a bug.
enum Catcher {
    /// Simulation, within so many seeds from 1, saying this.
    Simulation(u64, &'static str),
    /// Fault tests on real processes only.
    #[expect(dead_code, reason = "no bug is left to them alone at present")]
    BlackBox,
}

use Catcher::Simulation;

/// About four times what was needed when the table was made.
const TABLE: &[(Bug, Catcher)] = &[
    (Bug::AckBeforeFsync, Simulation(20, "data is damaged")),
    (Bug::StaleReadAfterPause, Simulation(20, "stale: ")),
    (Bug::ReusedReadIndex, Simulation(150, "stale: ")),
    (Bug::LostWatchEvent, Simulation(20, "a watch")),
    (Bug::DoubledWatchEvent, Simulation(20, "a watch")),
    (Bug::RevisionReuse, Simulation(20, "")),
    (Bug::LeaseDroppedOnLeaderChange, Simulation(20, "")),
    (Bug::TornBatch, Simulation(20, "data at applied index")),
    (Bug::MissedPrevKv, Simulation(20, "put at revision")),
    (Bug::NonAtomicRevision, Simulation(20, "")),
    (Bug::WrongCompactionEdge, Simulation(20, "range ")),
    (Bug::VoteForgotten, Simulation(20, "durably")),
    (Bug::LeaseTooEarly, Simulation(20, "after its last renewal")),
    (Bug::DamageServed, Simulation(180, "")),
];

fn campaign(planted: Option<Bug>, seeds: u64) -> Campaign {
    Campaign {
        program: Path::new(env!("CARGO_BIN_EXE_mainstay-sim")).to_owned(),
        from: 1,
        seeds,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        planted: planted.map(|bug| bug.name().to_owned()),
        until_violation: true,
    }
}

#[test]
fn every_planted_bug_has_somebody_to_catch_it() {
    let named: BTreeSet<Bug> = TABLE.iter().map(|(bug, _)| *bug).collect();
    let all: BTreeSet<Bug> = Bug::ALL.iter().copied().collect();
    assert_eq!(named, all);
    assert_eq!(TABLE.len(), all.len());
}

#[test]
fn simulation_catches_what_the_table_says() {
    for (bug, catcher) in TABLE {
        let Simulation(seeds, said) = catcher else {
            continue;
        };
        let summary = campaign(Some(*bug), *seeds)
            .run(&|_| ())
            .expect("processes run");
        let caught = summary
            .failed
            .iter()
            .find(|r| r.verdict == Verdict::Violated);
        let caught =
            caught.unwrap_or_else(|| panic!("{}: not caught in {seeds} seeds", bug.name()));
        assert!(
            caught.violation().contains(said),
            "{}: caught by another oracle: {}",
            bug.name(),
            caught.violation()
        );
    }
}

/// The same build without a bug holds: what is caught is the bug.
#[test]
fn nothing_is_caught_where_nothing_is_planted() {
    let summary = campaign(None, 20).run(&|_| ()).expect("processes run");
    assert_eq!(summary.seeds, 20);
    assert!(summary.failed.is_empty(), "{}", summary.failed[0].text);
}
