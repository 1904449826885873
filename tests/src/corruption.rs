//! Rounds of damage to one file of one member: it must be found, never served, and repaired without anybody's help.
//!
//! Every value names its key and its place in the order of writes, so whoever reads can tell a value that was never
//! written, one that is older than what was acknowledged before, and a member whose revision goes back.

mod load;
mod member;
mod round;

pub use load::Load;
pub use member::{Findings, Vitals};
pub use round::{Harm, Outcome, Report, Round, run_round};

use crate::cluster::{Cluster, Options};
use mainstay_faults::files::{Damage, FileKind, Spot};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Kinds of files that are damaged.
pub const KINDS: [FileKind; 9] = [
    FileKind::WalSegment,
    FileKind::Witness,
    FileKind::Identity,
    FileKind::Peers,
    FileKind::StatePointer,
    FileKind::Table,
    FileKind::Manifest,
    FileKind::DbPointer,
    FileKind::Options,
];

/// What is done to them.
pub const DAMAGES: [Damage; 6] = [
    Damage::FlipBits(1),
    Damage::FlipBits(8),
    Damage::Truncate,
    Damage::ZeroBlock,
    Damage::MisplaceBlock,
    Damage::Delete,
];

/// Flags that make tables and snapshots frequent, elections short and scrubbing quick.
pub fn options() -> Options {
    Options::default()
        .flag("--heartbeat-interval=50")
        .flag("--election-timeout=500")
        .flag("--snapshot-count=300")
        .flag("--experimental-scrub-interval=2s")
}

/// Damages one file per round, chosen by the seed, and checks everything after each.
pub async fn run(rounds: u32, seed: u64, mut progress: impl FnMut(&str)) -> Report {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::start_with(3, options()).await;
    let load = Load::start(&cluster).await;
    let mut report = Report::default();
    for number in 0..rounds {
        // Every kind in turn, so that few rounds cover all of them.
        let kind = KINDS[number as usize % KINDS.len()];
        let damage = *DAMAGES.choose(&mut rng).expect("there are some");
        let spot = *[Spot::Random, Spot::Random, Spot::End]
            .choose(&mut rng)
            .expect("there are some");
        let leader = cluster.leader().await;
        let victim = match rng.random_bool(0.5) {
            true => leader,
            false => (leader + rng.random_range(1..3)) % 3,
        };
        let round = Round {
            victim,
            harm: Harm {
                kind,
                damage,
                spot,
                seed: rng.random(),
            },
            running: rng.random_bool(0.4),
            clean_stop: rng.random_bool(0.3),
        };
        let outcome = run_round(&mut cluster, &load, round).await;
        progress(&format!("round {number}: {round:?}: {outcome}"));
        report.add(kind, &outcome);
    }
    load.stop().await;
    report
}
