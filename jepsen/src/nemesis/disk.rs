//! Disks that lose power, are slow, stand still, fail or fill up.

use super::arena::{Arena, Struck, Undo, all, names, nothing};
use crate::limits::EIO_EXIT_DEADLINE;
use anyhow::Result;
use mainstay_faults::Proof;
use mainstay_faults::disk::Throttle;
use rand::Rng;
use std::num::NonZeroU64;

/// Requests per second of a slow disk: a sync takes from most of a second down to a tenth.
const SLOW_REQUESTS: [u64; 3] = [5, 12, 40];

/// Power cut of one member, or of all: first every disk, then every process, as one cut would have it.
pub(super) fn cut(arena: &mut Arena, everybody: bool) -> Result<Struck> {
    let running = arena.cluster.running();
    let victims = if everybody {
        running
    } else {
        arena.any(&running).into_iter().collect()
    };
    if victims.is_empty() {
        return Ok(nothing("no member runs"));
    }
    let proof = arena.cluster.cut_power(&victims)?;
    Ok(Struck {
        targets: names(&victims),
        proof,
        undo: Undo::PowerOn(victims),
    })
}

/// Mounts what reached the disks, and starts the members on it.
pub(super) fn power_on(arena: &mut Arena, victims: &[usize]) -> Result<Proof> {
    let mut proofs = Vec::new();
    for &victim in victims {
        // Nobody else may have started it meanwhile: its disk was off.
        let member = arena.cluster.member(victim);
        if member.process.is_running() {
            arena.cluster.kill(victim)?;
        }
        proofs.push(arena.cluster.member(victim).storage.disk()?.restore()?);
    }
    for &victim in victims {
        arena.cluster.restart(victim)?;
    }
    Ok(Proof::all(proofs))
}

fn victim(arena: &mut Arena, leader: bool) -> Option<usize> {
    if leader {
        return arena.leader_or_any();
    }
    let running = arena.cluster.running();
    arena.any(&running)
}

/// Every request of the disk waits its turn.
pub(super) fn slow(arena: &mut Arena, leader: bool) -> Result<Struck> {
    let Some(victim) = victim(arena, leader) else {
        return Ok(nothing("no member runs"));
    };
    let requests = SLOW_REQUESTS[arena.rng.random_range(0..SLOW_REQUESTS.len())];
    let throttle = Throttle::requests(NonZeroU64::new(requests).expect("none of the choices is 0"));
    let proof = arena
        .cluster
        .member(victim)
        .storage
        .disk()?
        .slow(throttle)?;
    let targets = vec![format!("m{victim}, {requests} requests/s")];
    Ok(Struck {
        targets,
        proof,
        undo: Undo::FullSpeed(victim),
    })
}

/// Ends [`slow`].
pub(super) fn full_speed(arena: &mut Arena, victim: usize) -> Result<String> {
    Ok(arena
        .cluster
        .member(victim)
        .storage
        .disk()?
        .full_speed()?
        .text)
}

/// The leader's disk answers nothing.
pub(super) fn stall(arena: &mut Arena) -> Result<Struck> {
    let Some(victim) = arena.leader_or_any() else {
        return Ok(nothing("no member runs"));
    };
    let proof = arena.cluster.member(victim).storage.disk()?.stall()?;
    Ok(Struck {
        targets: names(&[victim]),
        proof,
        undo: Undo::GoOn(victim),
    })
}

/// Ends [`stall`].
pub(super) fn go_on(arena: &mut Arena, victim: usize) -> Result<String> {
    Ok(arena.cluster.member(victim).storage.disk()?.resume()?.text)
}

/// Every write and sync of the disk fails. The member must end: what a failed sync has lost nobody knows.
pub(super) fn fail(arena: &mut Arena) -> Result<Struck> {
    let leader = arena.rng.random();
    let Some(victim) = victim(arena, leader) else {
        return Ok(nothing("no member runs"));
    };
    // From here on its end is no surprise, and nobody but `revive` starts it.
    arena.cluster.member(victim).down = true;
    let broken = arena.cluster.member(victim).storage.disk()?.fail()?;
    let ended = match arena
        .cluster
        .member(victim)
        .process
        .wait_exit(EIO_EXIT_DEADLINE)
    {
        Ok(status) => Proof::acted(format!("m{victim} ended by itself: {status}")),
        Err(_) => Proof::acted(format!(
            "m{victim} ran on for {EIO_EXIT_DEADLINE:?} without a disk"
        )),
    };
    Ok(Struck {
        targets: names(&[victim]),
        proof: all([Ok(broken), Ok(ended)])?,
        undo: Undo::Revive(victim),
    })
}

/// A new controller for the old platter, and a new start.
pub(super) fn revive(arena: &mut Arena, victim: usize) -> Result<String> {
    if arena.cluster.member(victim).process.is_running() {
        arena.cluster.kill(victim)?;
    }
    let proof = arena.cluster.member(victim).storage.disk()?.revive()?;
    arena.cluster.restart(victim)?;
    Ok(proof.text)
}

/// No byte is free any more.
pub(super) fn fill(arena: &mut Arena) -> Result<Struck> {
    let leader = arena.rng.random();
    let Some(victim) = victim(arena, leader) else {
        return Ok(nothing("no member runs"));
    };
    let proof = arena.cluster.member(victim).storage.disk()?.fill(0)?;
    Ok(Struck {
        targets: names(&[victim]),
        proof,
        undo: Undo::Release(victim),
    })
}

/// There is room again. The member has to go on by itself, without a restart if it has not ended.
pub(super) fn release(arena: &mut Arena, victim: usize) -> Result<String> {
    Ok(arena.cluster.member(victim).storage.disk()?.release()?.text)
}
