//! Carries out a schedule: strikes and heals in time, one after the other, each recorded with its proof.

use super::arena::Struck;
use super::{Arena, Nemesis, Schedule, Stage, strike};
use crate::limits::POLL_INTERVAL;
use crate::progress::Board;
use anyhow::{Context, Result};
use mainstay_check::history::{Fault, LogFinding, LogLevel, Record};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Times a member that ends by itself is started again in one run.
const RESTARTS_MAX: u32 = 20;

/// What came of a schedule.
#[derive(Clone, Debug, Default)]
pub struct Driven {
    /// Faults with proof, by nemesis.
    pub acted: BTreeMap<Nemesis, u64>,
    /// Strikes that found nothing to act on, or showed no effect.
    pub idle: u64,
    /// Members that ended although nobody ended them, and how.
    pub died: Vec<String>,
}

struct Acting {
    struck: Struck,
    start: u64,
}

/// Runs the schedule to its end, or until `stop`; then heals everything. Blocks.
pub fn drive(
    arena: &mut Arena,
    schedule: &Schedule,
    board: &Board,
    stop: &AtomicBool,
) -> Result<Driven> {
    let begin = Instant::now();
    let mut driven = Driven::default();
    let mut acting: BTreeMap<Nemesis, Acting> = BTreeMap::new();
    let mut result = Ok(());
    for act in &schedule.acts {
        while begin.elapsed() < act.at && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(POLL_INTERVAL);
            supervise(arena, &acting, &mut driven)?;
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        result = match act.stage {
            Stage::Strike if begin.elapsed() < schedule.end => {
                begin_act(arena, act.nemesis, &mut acting, board)
            }
            Stage::Strike => Ok(()),
            Stage::Heal => end_act(arena, act.nemesis, &mut acting, &mut driven, board),
        };
        if result.is_err() {
            break;
        }
    }
    while result.is_ok() && begin.elapsed() < schedule.end && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(POLL_INTERVAL);
        supervise(arena, &acting, &mut driven)?;
    }
    // Healed even after a failure: what comes next reads from this cluster.
    let left: Vec<Nemesis> = acting.keys().copied().collect();
    for nemesis in left {
        result = result.and(end_act(arena, nemesis, &mut acting, &mut driven, board));
    }
    result.map(|()| driven)
}

fn begin_act(
    arena: &mut Arena,
    nemesis: Nemesis,
    acting: &mut BTreeMap<Nemesis, Acting>,
    board: &Board,
) -> Result<()> {
    let start = arena.shared.journal.clock.now();
    let struck = strike::strike(arena, nemesis).with_context(|| format!("nemesis {nemesis}"))?;
    board.begin(nemesis.name(), &struck.targets);
    acting.insert(nemesis, Acting { struck, start });
    Ok(())
}

fn end_act(
    arena: &mut Arena,
    nemesis: Nemesis,
    acting: &mut BTreeMap<Nemesis, Acting>,
    driven: &mut Driven,
    board: &Board,
) -> Result<()> {
    let Some(Acting { struck, start }) = acting.remove(&nemesis) else {
        return Ok(());
    };
    let targets = struck.targets.clone();
    let healed = strike::heal(arena, struck).with_context(|| format!("healing nemesis {nemesis}"));
    board.end(nemesis.name());
    let proof = healed?;
    if proof.acted {
        *driven.acted.entry(nemesis).or_default() += 1;
    } else {
        driven.idle += 1;
    }
    let fault = Fault {
        name: nemesis.name().to_owned(),
        targets,
        start,
        end: Some(arena.shared.journal.clock.now()),
        proof: proof.acted.then_some(proof.text),
    };
    arena.runtime.block_on(arena.shared.journal.fault(fault));
    Ok(())
}

/// Does what a service manager does: starts members that ended by themselves, and writes down that they did.
pub fn supervise_once(arena: &mut Arena, expected: bool, driven: &mut Driven) -> Result<()> {
    for member in arena.cluster.died() {
        let process = &mut arena.cluster.member(member).process;
        let (status, starts) = (process.exit_status(), process.starts());
        let status = status.map_or_else(String::new, |status| status.to_string());
        let text = format!("the process of m{member} ended by itself: {status}");
        let finding = LogFinding {
            member: u32::try_from(member).expect("there are few members"),
            time: arena.shared.journal.clock.now(),
            level: LogLevel::Fatal,
            text: text.clone(),
            expected,
        };
        arena
            .runtime
            .block_on(arena.shared.journal.record(Record::Log(finding)));
        driven.died.push(text);
        if starts < RESTARTS_MAX {
            arena.cluster.restart(member)?;
        } else {
            arena.cluster.member(member).down = true;
        }
    }
    Ok(())
}

fn supervise(
    arena: &mut Arena,
    acting: &BTreeMap<Nemesis, Acting>,
    driven: &mut Driven,
) -> Result<()> {
    let expected = acting.keys().any(|nemesis| nemesis.may_end_processes());
    supervise_once(arena, expected, driven)
}
