//! Every kind of file, while its member is down and while it runs.

use super::repairs_itself;
use mainstay_faults::files::{Damage, FileKind, Spot};
use mainstay_tests::Cluster;
use mainstay_tests::corruption::{Harm, Load, Outcome, Round, options, run_round};

struct Case {
    kind: FileKind,
    damage: Damage,
    running: bool,
    /// What the member must say it found; nothing for what it makes again in place.
    found: Option<&'static str>,
}

const fn case(kind: FileKind, damage: Damage, running: bool, found: &'static str) -> Case {
    let found = if found.is_empty() { None } else { Some(found) };
    Case {
        kind,
        damage,
        running,
        found,
    }
}

/// Rounds until a table is damaged that is read.
const ATTEMPTS: u64 = 5;

/// Each must be noticed.
const CASES: [Case; 9] = [
    case(FileKind::WalSegment, Damage::FlipBits(1), false, "log"),
    case(FileKind::Witness, Damage::Delete, false, "witness"),
    case(FileKind::Identity, Damage::Truncate, false, "identity"),
    case(FileKind::Peers, Damage::FlipBits(1), false, ""),
    case(
        FileKind::StatePointer,
        Damage::FlipBits(1),
        false,
        "pointer",
    ),
    case(FileKind::Manifest, Damage::Truncate, false, "engine"),
    case(FileKind::DbPointer, Damage::Delete, false, "engine"),
    case(FileKind::Table, Damage::FlipBits(1), true, "engine"),
    case(FileKind::WalSegment, Damage::FlipBits(8), true, "log"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_in_every_kind_of_file_is_repaired_and_never_served() {
    if !repairs_itself() {
        return;
    }
    let mut cluster = Cluster::start_with(3, options()).await;
    let load = Load::start(&cluster).await;
    for (number, case) in CASES.iter().enumerate() {
        let mut outcome = damage_once(&mut cluster, &load, case, number, 0).await;
        // A running member may merge a table away before anything reads the damaged block: that is no answer yet.
        for attempt in 1..ATTEMPTS {
            if !(case.running && case.kind == FileKind::Table && outcome.findings.found.is_empty())
            {
                break;
            }
            outcome = damage_once(&mut cluster, &load, case, number, attempt).await;
        }
        check(case, &outcome);
    }
    assert!(load.reads() > 1_000, "{} reads are too few", load.reads());
    load.stop().await;
}

/// One round of a case; other attempts damage other places.
async fn damage_once(
    cluster: &mut Cluster,
    load: &Load,
    case: &Case,
    number: usize,
    attempt: u64,
) -> Outcome {
    let leader = cluster.leader().await;
    let round = Round {
        // The leader, too.
        victim: (leader + number) % 3,
        harm: Harm {
            kind: case.kind,
            damage: case.damage,
            // Early enough in a log that it is certain to be read.
            spot: match case.kind {
                FileKind::WalSegment => Spot::At(300),
                _ => Spot::Random,
            },
            seed: number as u64 + 1 + 100 * attempt,
        },
        running: case.running,
        clean_stop: number.is_multiple_of(2),
    };
    let outcome = run_round(cluster, load, round).await;
    println!("{:?}: {outcome}", case.kind);
    outcome
}

fn check(case: &Case, outcome: &Outcome) {
    let findings = &outcome.findings;
    match case.found {
        Some(kind) => {
            assert!(
                findings.found.contains_key(kind),
                "{:?}: {outcome}",
                case.kind
            );
            assert_eq!(findings.repairs, 1, "{:?}: {outcome}", case.kind);
        }
        None => assert!(findings.rebuilt > 0, "{:?}: {outcome}", case.kind),
    }
}
