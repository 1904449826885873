//! Carries out a schedule: strikes and heals in time, each recorded with its proof.

use super::arena::{Arena, Struck};
use super::journal::Journal;
use super::nemesis::ApiNemesis;
use super::schedule::Act;
use crate::limits::POLL_INTERVAL;
use crate::progress::Board;
use anyhow::{Context, Result};
use mainstay_check::api::ApiRecord;
use mainstay_check::history::{Fault, LogFinding, LogLevel};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

struct Acting {
    struck: Struck,
    start: u64,
    until: Duration,
}

/// Runs the schedule to its end, or until `stop`; then heals everything. Blocks. Answers who ended by itself.
pub(super) fn drive(
    arena: &mut Arena,
    acts: &[Act],
    time: Duration,
    journal: &Journal,
    board: &Board,
    stop: &AtomicBool,
) -> Result<Vec<String>> {
    let begin = Instant::now();
    let mut died = Vec::new();
    let mut acting: BTreeMap<ApiNemesis, Acting> = BTreeMap::new();
    let mut coming = acts.iter().peekable();
    let mut result = Ok(());
    while result.is_ok() && begin.elapsed() < time && !stop.load(Ordering::Relaxed) {
        let due: Vec<ApiNemesis> = acting
            .iter()
            .filter(|(_, one)| one.until <= begin.elapsed())
            .map(|(nemesis, _)| *nemesis)
            .collect();
        for nemesis in due {
            result = result.and(end_act(arena, nemesis, &mut acting, journal, board));
        }
        if let Some(act) = coming.next_if(|act| act.at <= begin.elapsed()) {
            result = result.and(begin_act(arena, act, &mut acting, journal, board));
        } else {
            std::thread::sleep(POLL_INTERVAL);
        }
        supervise(arena, journal, &mut died)?;
    }
    // Healed even after a failure: what comes next reads from these processes.
    let left: Vec<ApiNemesis> = acting.keys().copied().collect();
    for nemesis in left {
        result = result.and(end_act(arena, nemesis, &mut acting, journal, board));
    }
    result.map(|()| died)
}

fn begin_act(
    arena: &mut Arena,
    act: &Act,
    acting: &mut BTreeMap<ApiNemesis, Acting>,
    journal: &Journal,
    board: &Board,
) -> Result<()> {
    let nemesis = act.nemesis;
    // A strike that took long is still acting when its next one is due.
    end_act(arena, nemesis, acting, journal, board)?;
    let start = journal.clock.now();
    let struck = arena
        .strike(nemesis)
        .with_context(|| format!("nemesis {nemesis}"))?;
    board.begin(nemesis.name(), &struck.targets);
    let until = act.until;
    acting.insert(
        nemesis,
        Acting {
            struck,
            start,
            until,
        },
    );
    Ok(())
}

fn end_act(
    arena: &mut Arena,
    nemesis: ApiNemesis,
    acting: &mut BTreeMap<ApiNemesis, Acting>,
    journal: &Journal,
    board: &Board,
) -> Result<()> {
    let Some(Acting { struck, start, .. }) = acting.remove(&nemesis) else {
        return Ok(());
    };
    let targets = struck.targets.clone();
    let healed = arena
        .heal(struck)
        .with_context(|| format!("healing nemesis {nemesis}"));
    board.end(nemesis.name());
    let proof = healed?;
    let fault = Fault {
        name: nemesis.name().to_owned(),
        targets,
        start,
        end: Some(journal.clock.now()),
        proof: proof.acted.then_some(proof.text),
    };
    let record = journal.record(ApiRecord::Fault(fault));
    arena.runtime.block_on(record);
    Ok(())
}

/// Does what a service manager does: starts what ended by itself, and writes down that it did.
pub(super) fn supervise(
    arena: &mut Arena,
    journal: &Journal,
    died: &mut Vec<String>,
) -> Result<()> {
    for (server, status) in arena.servers.died() {
        let text = format!("the process of s{server} ended by itself: {status}");
        tell(arena, journal, server, text, died);
        arena.servers.restart(server)?;
    }
    for member in arena.cluster.died() {
        let text = format!("the process of m{member} ended by itself");
        tell(arena, journal, member, text, died);
        arena.cluster.restart(member)?;
    }
    Ok(())
}

fn tell(arena: &Arena, journal: &Journal, who: usize, text: String, died: &mut Vec<String>) {
    let finding = LogFinding {
        member: u32::try_from(who).expect("there are few processes"),
        time: journal.clock.now(),
        level: LogLevel::Fatal,
        text: text.clone(),
        expected: false,
    };
    let record = journal.record(ApiRecord::Log(finding));
    arena.runtime.block_on(record);
    died.push(text);
}
