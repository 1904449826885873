//! Seeds that once found something, by name, and hundreds that nobody has looked at.

use std::path::Path;

use mainstay_sim::campaign::{Campaign, Verdict, run_one};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mainstay-sim"))
}

fn holds(seed: u64) {
    let report = run_one(program(), seed, None).expect("a process runs");
    assert_eq!(report.verdict, Verdict::Held, "{}", report.text);
}

/// A member that had received its database as a snapshot became leader, was asked for a snapshot by a
/// member that was further behind, had none, and ended: "when Read Snapshot(None): snapshot not found".
#[test]
fn a_leader_that_received_a_snapshot_can_send_one() {
    holds(304);
}

/// A physical compaction at a revision that an earlier process of the member had compacted already waited
/// for ever: nothing was asked to drop that history again.
#[test]
fn a_physical_compaction_ends_after_a_restart() {
    holds(21);
}

/// A learner that was removed while nobody could reach it never heard of that, and waited for a leader for ever.
#[test]
fn a_learner_removed_behind_a_partition_ends() {
    holds(203_459);
}

/// The same, for one that was removed before anything had reached it: it knows only whom it was told of.
#[test]
fn a_learner_removed_before_its_first_entry_ends() {
    holds(305_075);
}

/// A disk error at the end of taking over a snapshot: the pointer named the new database already, whose folder was
/// removed.
#[test]
fn a_pointer_whose_sync_failed_still_finds_its_database() {
    holds(300_139);
}

/// The same seed is the same run, to the last byte on the network.
#[test]
fn a_seed_replays_identically() {
    for seed in [2, 4, 7] {
        let first = run_one(program(), seed, None).expect("a process runs");
        let second = run_one(program(), seed, None).expect("a process runs");
        assert!(first.result().contains("hash="), "{}", first.text);
        assert_eq!(first.result(), second.result());
    }
    let other = run_one(program(), 3, None).expect("a process runs");
    let first = run_one(program(), 2, None).expect("a process runs");
    let hash = |report: &str| report.split("hash=").nth(1).map(str::to_owned);
    assert_ne!(hash(other.result()), hash(first.result()));
}

/// Seeds that change with nothing; all kinds of faults must have happened in them.
#[test]
fn hundreds_of_seeds_hold() {
    let campaign = Campaign {
        program: program().to_owned(),
        from: 100_000,
        seeds: 200,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        planted: None,
        until_violation: false,
    };
    let summary = campaign.run(&|_| ()).expect("processes run");
    for report in &summary.failed {
        assert_eq!(report.verdict, Verdict::Held, "{}", report.text);
    }
    assert_eq!(summary.missing(), Vec::<&str>::new(), "never happened");
}
