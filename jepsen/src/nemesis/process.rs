//! Processes that die, stand still or restart.

use super::arena::{Arena, Struck, Undo, all, names, nothing};
use crate::limits::STRIKE_DEADLINE;
use anyhow::Result;
use mainstay_faults::Proof;
use std::time::Instant;

/// SIGKILL of all of these before any is started again.
pub(super) fn kill(arena: &mut Arena, victims: Vec<usize>) -> Result<Struck> {
    if victims.is_empty() {
        return Ok(nothing("no member runs"));
    }
    let mut proofs = Vec::new();
    for &victim in &victims {
        proofs.push(arena.cluster.kill(victim)?);
    }
    Ok(Struck {
        targets: names(&victims),
        proof: Proof::all(proofs),
        undo: Undo::Start(victims),
    })
}

/// SIGSTOP.
pub(super) fn pause(arena: &mut Arena, victims: Vec<usize>) -> Result<Struck> {
    if victims.is_empty() {
        return Ok(nothing("no member runs"));
    }
    let proof = all(victims
        .iter()
        .map(|&victim| arena.cluster.member(victim).process.pause()))?;
    Ok(Struck {
        targets: names(&victims),
        proof,
        undo: Undo::Resume(victims),
    })
}

/// Starts those of the killed that nobody else has started meanwhile.
pub(super) fn start(arena: &mut Arena, victims: &[usize]) -> Result<String> {
    for &victim in victims {
        if !arena.cluster.member(victim).process.is_running() {
            arena.cluster.restart(victim)?;
        }
    }
    Ok(format!("{} started again", names(victims).join(", ")))
}

/// SIGCONT, for those that have not been killed meanwhile.
pub(super) fn resume(arena: &mut Arena, victims: &[usize]) -> Result<String> {
    let mut texts = Vec::new();
    for &victim in victims {
        let process = &mut arena.cluster.member(victim).process;
        if process.is_running() {
            texts.push(process.resume()?.text);
        }
    }
    Ok(texts.join("; "))
}

/// SIGTERM and start of one member after the other, each only when the one before answers again.
pub(super) fn rolling(arena: &mut Arena) -> Result<Struck> {
    let order = arena.shuffled();
    let start = Instant::now();
    let mut proofs = Vec::new();
    for &member in &order {
        if arena.cluster.running().len() < arena.cluster.len()
            || start.elapsed() > STRIKE_DEADLINE / 2
        {
            break;
        }
        proofs.push(arena.cluster.terminate(member)?);
        arena.cluster.restart(member)?;
        let wrong = arena.cluster.wait_answering(&[member], STRIKE_DEADLINE / 2);
        if let Some(wrong) = wrong.first() {
            proofs.push(Proof::acted(format!("not waited for any longer: {wrong}")));
            break;
        }
    }
    let targets = names(&order[..proofs.len().min(order.len())]);
    Ok(Struck {
        targets,
        proof: Proof::all(proofs),
        undo: Undo::Nothing,
    })
}
