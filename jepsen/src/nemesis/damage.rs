//! Files that rot: one file of a stopped member is damaged, one kind of file after the other, and the member starts on it.
//!
//! Only a minority is ever damaged at a time: before the next victim is chosen, all members must answer again. What is
//! expected: the damage is noticed, never served, and mended from the other members without an operator, restarts by a
//! service manager aside.

use super::Nemesis;
use super::arena::{Arena, Struck, Undo, nothing};
use crate::limits::{DAMAGE_FILES_TRIED_MAX, STRIKE_DEADLINE};
use anyhow::{Context, Result};
use mainstay_faults::Proof;
use mainstay_faults::files::{Damage, DataFile, FileKind, Injury, Spot, damage, survey};
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use std::collections::BTreeMap;

/// Bits that flip at once.
const FLIPS: [u32; 3] = [1, 1, 64];

/// Kills a victim, damages one of its files, and starts it again.
pub(super) fn strike(arena: &mut Arena, nemesis: Nemesis) -> Result<Struck> {
    let all: Vec<usize> = (0..arena.cluster.len()).collect();
    let wrong = arena.cluster.wait_answering(&all, STRIKE_DEADLINE / 2);
    if let Some(wrong) = wrong.first() {
        return Ok(nothing(&format!("not all members are whole: {wrong}")));
    }
    let count = arena.rng.random_range(1..=(all.len() - 1) / 2);
    let mut victims = arena.shuffled();
    victims.truncate(count);
    let mut proofs = Vec::new();
    let mut targets = Vec::new();
    for &victim in &victims {
        proofs.push(arena.cluster.kill(victim)?);
        let injury = injure(arena, victim, nemesis);
        // Started in any case; what could not be damaged is whole.
        arena.cluster.restart(victim)?;
        let injury = injury?;
        arena.injured.push(injury.kind);
        targets.push(format!("m{victim} {:?}", injury.kind));
        proofs.push(injury.proof());
    }
    Ok(Struck {
        targets,
        proof: Proof::all(proofs),
        undo: Undo::Nothing,
    })
}

fn injure(arena: &mut Arena, victim: usize, nemesis: Nemesis) -> Result<Injury> {
    let data = arena.cluster.member(victim).storage.data().to_owned();
    let mut by_kind: BTreeMap<FileKind, Vec<DataFile>> = BTreeMap::new();
    for file in survey(&data)? {
        // An empty file has nothing to lose.
        if file.kind.matters() && file.bytes > 0 {
            by_kind.entry(file.kind).or_default().push(file);
        }
    }
    let mut kinds: Vec<FileKind> = by_kind.keys().copied().collect();
    kinds.shuffle(&mut arena.rng);
    // Kinds that had their turn come last.
    kinds.sort_by_key(|kind| {
        arena
            .injured
            .iter()
            .filter(|injured| *injured == kind)
            .count()
    });
    let mut last = None;
    for kind in kinds.into_iter().take(DAMAGE_FILES_TRIED_MAX) {
        let file = by_kind[&kind]
            .choose(&mut arena.rng)
            .expect("kinds have files");
        let harm = match nemesis {
            Nemesis::Truncate => Damage::Truncate,
            _ => Damage::FlipBits(*FLIPS.choose(&mut arena.rng).expect("there are some")),
        };
        match damage(file, harm, Spot::Random, arena.rng.random()) {
            Ok(injury) => return Ok(injury),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("there is no file")?).context("no file could be damaged")
}
