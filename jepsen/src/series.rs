//! Several runs one after the other, and what is said of them together.

use crate::cli::{SubjectArgs, random_seed};
use crate::limits::SERIES_RUNS_MAX;
use crate::nemesis::Nemesis;
use crate::one::carry_out;
use crate::plan::Plan;
use crate::report::RunResult;
use crate::run::interrupted;
use crate::verdict::Grade;
use crate::workload::Workload;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How much of what is wrong fits into a line.
const WHY_CHARS_MAX: usize = 500;

/// Carries out all plans, even after a failure, and tells the table at the end.
pub async fn series(plans: &[Plan], say: fn(&str)) -> Result<Grade> {
    let mut results = Vec::new();
    for (index, plan) in plans.iter().enumerate() {
        if interrupted().load(Ordering::Relaxed) {
            break;
        }
        say(&format!("--- {} of {} ---", index + 1, plans.len()));
        let (result, _) = carry_out(plan, say).await?;
        say(&verdict_line(&result));
        results.push(result);
    }
    tell_table(&results, say);
    if results.len() < plans.len() {
        bail!(
            "interrupted after {} of {} runs",
            results.len(),
            plans.len()
        );
    }
    Ok(worst(&results))
}

/// What a run came to, in one line: how often which promise was broken, and the first case.
pub fn verdict_line(result: &RunResult) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for anomaly in &result.anomalies {
        *kinds.entry(&anomaly.kind).or_default() += 1;
    }
    let mut parts: Vec<String> = kinds
        .iter()
        .map(|(kind, count)| format!("{kind} x{count}"))
        .collect();
    parts.extend(result.broken.iter().cloned());
    parts.extend(result.harness.iter().cloned());
    parts.extend(result.unknown.iter().cloned());
    parts.extend(
        result
            .anomalies
            .first()
            .map(|anomaly| format!("first {}: {}", anomaly.kind, anomaly.text)),
    );
    let mut line = format!(
        "{}: {} ({} operations)",
        result.grade, result.name, result.figures.operations
    );
    if !result.known.is_empty() {
        line.push_str(&format!(
            " with {} known faults of the control",
            result.known.len()
        ));
    }
    if result.grade != Grade::Valid {
        line.push_str(" -- ");
        line.extend(parts.join("; ").chars().take(WHY_CHARS_MAX));
    }
    line
}

fn tell_table(results: &[RunResult], say: fn(&str)) {
    say(&format!(
        "\n{:<14} {:<11} {:<38} {:>7} {:>9} {:>7} {:>8} {:>9} {:>7} {:>8}",
        "verdict",
        "workload",
        "nemesis",
        "members",
        "ops",
        "ok/s",
        "unknown",
        "gap ms",
        "leaders",
        "seed"
    ));
    for result in results {
        say(&format!(
            "{:<14} {:<11} {:<38} {:>7} {:>9} {:>7.0} {:>8} {:>9.0} {:>7} {:>8}",
            result.grade.to_string(),
            result.workload,
            result.nemeses,
            result.members,
            result.figures.operations,
            result.figures.rate,
            result.figures.unknown(),
            result.figures.longest_gap_ms(),
            result.figures.leader_changes,
            result.seed
        ));
    }
    let operations: u64 = results.iter().map(|result| result.figures.operations).sum();
    let valid = results
        .iter()
        .filter(|result| result.grade == Grade::Valid)
        .count();
    say(&format!(
        "\n{valid} of {} runs valid, {operations} operations",
        results.len()
    ));
}

fn worst(results: &[RunResult]) -> Grade {
    results
        .iter()
        .map(|result| result.grade)
        .max()
        .unwrap_or(Grade::HarnessFault)
}

fn base(subject: &SubjectArgs, workload: Workload, nemesis: Nemesis, seed: u64) -> Result<Plan> {
    Ok(Plan {
        workload,
        nemeses: vec![nemesis],
        members: 3,
        time: Duration::from_secs(90),
        rate: 600,
        clients_per_member: if workload == Workload::Mixed { 8 } else { 3 },
        deadline: Duration::from_secs(2),
        seed,
        subject: subject.subject()?,
        named_binary: subject.subject_bin.is_some(),
        loopback: subject.loopback,
        out: subject.out.clone(),
    })
}

/// Runs until the proven faults of `turns`, taken in turn, are so many. No acknowledged write may be lost in any.
pub async fn until(
    subject: &SubjectArgs,
    turns: &[(Workload, Nemesis)],
    rounds: u64,
    say: fn(&str),
) -> Result<Grade> {
    let mut results: Vec<RunResult> = Vec::new();
    let mut done = 0;
    let mut seed = random_seed();
    for (workload, nemesis) in turns.iter().cycle().take(SERIES_RUNS_MAX) {
        if done >= rounds || interrupted().load(Ordering::Relaxed) {
            break;
        }
        seed += 1;
        let (result, _) = carry_out(&base(subject, *workload, *nemesis, seed)?, say).await?;
        say(&verdict_line(&result));
        done += result
            .figures
            .faults
            .get(nemesis.name())
            .copied()
            .unwrap_or(0);
        say(&format!("{done} of {rounds}"));
        results.push(result);
    }
    tell_table(&results, say);
    say(&format!("{done} faults with proof of {rounds}"));
    if done < rounds {
        bail!("only {done} of {rounds} in {} runs", results.len());
    }
    Ok(worst(&results))
}

/// Kills leaders until there were so many, and tells how long no write succeeded after each.
pub async fn gap(subject: &SubjectArgs, kills: u64, say: fn(&str)) -> Result<Grade> {
    let mut gaps = Vec::new();
    let mut results = Vec::new();
    let mut seed = random_seed();
    while (gaps.len() as u64) < kills
        && results.len() < SERIES_RUNS_MAX
        && !interrupted().load(Ordering::Relaxed)
    {
        seed += 1;
        let mut plan = base(subject, Workload::Register, Nemesis::KillLeader, seed)?;
        // Closed loops at full speed: a gap is then the store's and not the pace's.
        plan.rate = 0;
        let (result, dir) = carry_out(&plan, say).await?;
        say(&verdict_line(&result));
        let reading = mainstay_check::history::read_file(&dir.join("history.jsonl"))?;
        gaps.extend(crate::figures::gaps_after(
            &reading.history,
            Nemesis::KillLeader.name(),
        ));
        say(&format!("{} of {kills}", gaps.len()));
        results.push(result);
    }
    gaps.sort_unstable();
    let at = |share: f64| {
        let index = ((gaps.len().saturating_sub(1)) as f64 * share).round() as usize;
        gaps.get(index).map_or(0.0, |ns| *ns as f64 / 1e6)
    };
    say(&format!(
        "write gap after {} kills of the leader: p50 {:.0} ms, p90 {:.0} ms, p99 {:.0} ms, max {:.0} ms",
        gaps.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    ));
    Ok(worst(&results))
}
