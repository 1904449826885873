//! Wall clocks that jump.

use super::arena::{Arena, Struck, Undo, names, nothing};
use anyhow::{Context, Result};
use mainstay_faults::{Clock, Proof};
use rand::Rng;
use std::time::Duration;

/// How far a clock jumps, as powers of two seconds: from 4 seconds to a good four minutes.
const JUMP_LOG2_SECONDS: std::ops::Range<f64> = 2.0..8.1;

/// Jumps of a minority, each its own way.
pub(super) fn jump(arena: &mut Arena) -> Result<Struck> {
    let victims = arena.minority();
    if victims.is_empty() {
        return Ok(nothing("no member runs"));
    }
    let mut proofs = Vec::new();
    let mut targets = Vec::new();
    for &victim in &victims {
        let offset = Duration::from_secs(arena.rng.random_range(JUMP_LOG2_SECONDS).exp2() as u64);
        let behind = arena.rng.random();
        let address = arena.cluster.fabric().place(victim).client;
        targets.push(format!(
            "m{victim} {}{}s",
            if behind { '-' } else { '+' },
            offset.as_secs()
        ));
        proofs.push(clock(arena, victim)?.jump(offset, behind, address)?);
    }
    Ok(Struck {
        targets,
        proof: Proof::all(proofs),
        undo: Undo::RightTime(victims),
    })
}

/// The machine's own time again, which is one more jump.
pub(super) fn right(arena: &mut Arena, victims: &[usize]) -> Result<String> {
    for &victim in victims {
        clock(arena, victim)?.shift(Duration::ZERO, false)?;
    }
    Ok(format!("{} right again", names(victims).join(", ")))
}

fn clock(arena: &mut Arena, victim: usize) -> Result<&mut Clock> {
    arena
        .cluster
        .member(victim)
        .clock
        .as_mut()
        .context("this cluster was made without clocks of its own")
}
