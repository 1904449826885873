//! Packets and links: partitions of every shape, loss, delay.

use super::Nemesis;
use super::arena::{Arena, Struck, Undo, nothing};
use anyhow::Result;
use mainstay_faults::fabric::Reading;
use mainstay_faults::net::Rules;
use mainstay_faults::party;
use mainstay_faults::proxy::{LinkRule, Shape};
use mainstay_faults::{Blocked, Proof};
use rand::Rng;
use std::time::Duration;

/// Share of packets lost, in hundredths of a percent.
const LOSS_BASIS_POINTS: [u16; 4] = [300, 1_000, 2_000, 3_500];
/// Delay of each direction of a link, milliseconds.
const DELAY_MS: std::ops::Range<u64> = 10..150;
/// What comes on top at most, milliseconds.
const JITTER_MS: std::ops::Range<u64> = 20..400;

/// Draws a partition of the asked shape.
pub(super) fn partition(arena: &mut Arena, nemesis: Nemesis) -> Result<Struck> {
    let members = arena.cluster.len();
    let order = arena.shuffled();
    let Some(leader) = arena.leader_or_any() else {
        return Ok(nothing("no member runs"));
    };
    let blocked = match nemesis {
        Nemesis::PartitionBridge => party::bridge(&order, order[0]),
        Nemesis::PartitionOneWay => one_way(arena, members, leader),
        Nemesis::PartitionLeader => party::isolate(members, leader),
        Nemesis::PartitionRing => party::ring(&order),
        // Any one link at a time; a leader's links count double.
        Nemesis::PartitionFlapping => {
            let one = if arena.rng.random() { leader } else { order[0] };
            match order.iter().find(|&&other| other != one) {
                Some(&other) if arena.rng.random_bool(0.5) => party::pair(one, other),
                _ => party::isolate(members, one),
            }
        }
        _ => {
            let minority = arena.rng.random_range(1..=(members - 1) / 2);
            let (small, large) = order.split_at(minority);
            party::groups(&[small.to_vec(), large.to_vec()])
        }
    };
    let before = arena.cluster.fabric().reading()?;
    arena.cluster.fabric().partition(&blocked)?;
    Ok(Struck {
        targets: targets(&blocked),
        proof: Proof::when(false, "not read yet"),
        undo: Undo::Reconnect(before),
    })
}

fn one_way(arena: &mut Arena, members: usize, leader: usize) -> Vec<Blocked> {
    let victim = if arena.rng.random() {
        leader
    } else {
        arena.rng.random_range(0..members)
    };
    if arena.rng.random() {
        party::deaf(members, victim)
    } else {
        party::mute(members, victim)
    }
}

fn targets(blocked: &[Blocked]) -> Vec<String> {
    blocked.iter().map(Blocked::to_string).collect()
}

/// Lifts the partition and says what it did.
pub(super) fn reconnect(arena: &Arena, before: &Reading) -> Result<Proof> {
    let fabric = arena.cluster.fabric();
    let proof = fabric.proof_since(before);
    // Healed in any case: a proof that cannot be read must not leave a partition behind.
    fabric.partition(&[])?;
    Ok(proof?)
}

/// Loses packets between all members.
pub(super) fn lose(arena: &mut Arena) -> Result<Struck> {
    let share = LOSS_BASIS_POINTS[arena.rng.random_range(0..LOSS_BASIS_POINTS.len())];
    let before = arena.cluster.fabric().reading()?;
    arena
        .cluster
        .fabric()
        .lose(Rules::lossy(arena.cluster.len(), share))?;
    let targets = vec![format!("all links, {}%", f64::from(share) / 100.0)];
    Ok(Struck {
        targets,
        proof: Proof::when(false, "not read yet"),
        undo: Undo::Unlose(before),
    })
}

/// Loses nothing any more.
pub(super) fn unlose(arena: &Arena, before: &Reading) -> Result<Proof> {
    let proof = arena.cluster.fabric().proof_since(before);
    arena.cluster.fabric().lose(Rules::default())?;
    Ok(proof?)
}

/// Delays all links, or those of one member.
pub(super) fn delay(arena: &mut Arena, jitter: bool) -> Result<Struck> {
    let members = arena.cluster.len();
    let delay = Duration::from_millis(arena.rng.random_range(DELAY_MS));
    let more = if jitter {
        arena.rng.random_range(JITTER_MS)
    } else {
        0
    };
    let rule = LinkRule::both(Shape::delayed(delay, Duration::from_millis(more)));
    let before = arena.cluster.fabric().reading()?;
    let mut targets = vec![format!("{delay:?} + up to {more} ms")];
    if arena.rng.random() {
        arena.cluster.fabric().shape_all(rule)?;
        targets.push("all links".to_owned());
    } else if let Some(victim) = arena.leader_or_any() {
        for other in (0..members).filter(|&other| other != victim) {
            arena.cluster.fabric().shape(victim, other, rule)?;
            arena.cluster.fabric().shape(other, victim, rule)?;
        }
        targets.push(format!("links of m{victim}"));
    }
    Ok(Struck {
        targets,
        proof: Proof::when(false, "not read yet"),
        undo: Undo::Unshape(before),
    })
}

/// All links as they were.
pub(super) fn unshape(arena: &Arena, before: &Reading) -> Result<Proof> {
    let proof = arena.cluster.fabric().proof_since(before);
    arena.cluster.fabric().shape_all(LinkRule::default())?;
    Ok(proof?)
}
