//! From the name of a nemesis to what it does, and back.

use super::arena::{Arena, Struck, Undo, nothing};
use super::{Nemesis, clock, damage, disk, network, process};
use crate::client::Client;
use anyhow::Result;
use mainstay_check::history::Op;
use mainstay_faults::Proof;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Between two compactions of the churn.
const CHURN_INTERVAL: Duration = Duration::from_millis(120);
/// How far before and after the newest revision the churn compacts.
const CHURN_SPREAD: std::ops::Range<i64> = -60..6;
/// The place of the churn's client among all clients: beyond those of any workload.
const CHURN_SLOT: usize = 100_000;

/// Does it.
pub(super) fn strike(arena: &mut Arena, nemesis: Nemesis) -> Result<Struck> {
    match nemesis {
        Nemesis::None => Ok(nothing("nothing goes wrong")),
        Nemesis::Kill => {
            let running = arena.cluster.running();
            let victim = arena.any(&running);
            process::kill(arena, victim.into_iter().collect())
        }
        Nemesis::KillLeader => {
            let victim = arena.leader_or_any();
            process::kill(arena, victim.into_iter().collect())
        }
        Nemesis::KillAll => {
            let running = arena.cluster.running();
            process::kill(arena, running)
        }
        Nemesis::PauseLeader => {
            let victim = arena.leader_or_any();
            process::pause(arena, victim.into_iter().collect())
        }
        Nemesis::PauseMinority => {
            let victims = arena.minority();
            process::pause(arena, victims)
        }
        Nemesis::Rolling => process::rolling(arena),
        Nemesis::PartitionHalves
        | Nemesis::PartitionBridge
        | Nemesis::PartitionOneWay
        | Nemesis::PartitionLeader
        | Nemesis::PartitionRing
        | Nemesis::PartitionFlapping => network::partition(arena, nemesis),
        Nemesis::Loss => network::lose(arena),
        Nemesis::Delay => network::delay(arena, false),
        Nemesis::Jitter => network::delay(arena, true),
        Nemesis::Power | Nemesis::PowerAll => disk::cut(arena, nemesis == Nemesis::PowerAll),
        Nemesis::SlowDisk | Nemesis::SlowDiskLeader => {
            disk::slow(arena, nemesis == Nemesis::SlowDiskLeader)
        }
        Nemesis::StallDiskLeader => disk::stall(arena),
        Nemesis::Eio => disk::fail(arena),
        Nemesis::DiskFull => disk::fill(arena),
        Nemesis::Clock => clock::jump(arena),
        Nemesis::BitFlip | Nemesis::Truncate => damage::strike(arena, nemesis),
        Nemesis::Compaction => Ok(churn(arena)),
    }
}

/// Undoes it; what more there is to say about how it acted.
pub(super) fn heal(arena: &mut Arena, struck: Struck) -> Result<Proof> {
    let Struck { proof, undo, .. } = struck;
    let with =
        |proof: Proof, text: String| Proof::when(proof.acted, format!("{}; {text}", proof.text));
    Ok(match undo {
        Undo::Nothing => proof,
        Undo::Start(victims) => with(proof, process::start(arena, &victims)?),
        Undo::Resume(victims) => with(proof, process::resume(arena, &victims)?),
        Undo::Reconnect(before) => network::reconnect(arena, &before)?,
        Undo::Unlose(before) => network::unlose(arena, &before)?,
        Undo::Unshape(before) => network::unshape(arena, &before)?,
        Undo::PowerOn(victims) => disk::power_on(arena, &victims)?,
        Undo::FullSpeed(victim) => with(proof, disk::full_speed(arena, victim)?),
        Undo::GoOn(victim) => with(proof, disk::go_on(arena, victim)?),
        Undo::Revive(victim) => with(proof, disk::revive(arena, victim)?),
        Undo::Release(victim) => with(proof, disk::release(arena, victim)?),
        Undo::RightTime(victims) => with(proof, clock::right(arena, &victims)?),
        Undo::EndTask(task, end) => {
            // The task ends at once, or has already.
            let _ = end.send(());
            let count = arena.runtime.block_on(task)?;
            Proof::when(count > 0, format!("{count} compactions acknowledged"))
        }
    })
}

/// Compacts at random revisions through random members, also where it is compacted already or nothing is yet, until told
/// to end.
fn churn(arena: &mut Arena) -> Struck {
    let members = arena.cluster.len();
    let shared = arena.shared.clone();
    let (end, mut ended) = oneshot::channel::<()>();
    let slot = CHURN_SLOT + arena.rng.random_range(0..1_000_000);
    let mut rng = StdRng::seed_from_u64(arena.rng.random());
    let task = arena.runtime.spawn(async move {
        let client = |member| Client::new(&shared, slot + member, member);
        let mut clients: Vec<Client> = (0..members).map(client).collect();
        let mut count = 0;
        // An error means that the other side is gone, which ends it too.
        while timeout(CHURN_INTERVAL, &mut ended).await.is_err() {
            let revision = (shared.revision() + rng.random_range(CHURN_SPREAD)).max(1);
            let through = rng.random_range(0..members);
            let reply = clients[through].perform(Op::Compact { revision }).await;
            count += u64::from(reply.ok().is_some());
        }
        count
    });
    Struck {
        targets: Vec::new(),
        proof: Proof::when(false, "not counted yet"),
        undo: Undo::EndTask(task, end),
    }
}
