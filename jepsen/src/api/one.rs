//! One run from plan to report: folder, run, verdict, page.

use super::page::write_page;
use super::plan::ApiPlan;
use super::run;
use crate::figures::{Figures, KindFigures};
use crate::limits::JUDGE_DEADLINE;
use crate::one::make_folder;
use crate::report::{RunResult, write_index};
use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use mainstay_check::Judgement;
use mainstay_check::api::{ApiHistory, ApiReading, Verb, judge_api, read_api_file};
use mainstay_check::history::Outcome;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tokio::time::timeout;

/// What is said to be the workload of such runs, and what tells them from those of the store.
const WORKLOAD: &str = "apiserver";
/// Latencies are kept up to here, in microseconds; slower ones count as this.
const LATENCY_US_MAX: u64 = 120_000_000;
/// How much of an error's text tells it from others, and how many are counted.
const ERROR_CHARS_MAX: usize = 90;
const ERRORS_MAX: usize = 60;

/// Carries out a plan and writes everything about it below its folder.
pub async fn carry_out(plan: &ApiPlan, say: fn(&str)) -> Result<(RunResult, PathBuf)> {
    plan.check()?;
    let dir = make_folder(&plan.store.out, &plan.name())?;
    let name = dir
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    say(&format!("run {name}\n    {}", plan.command()));
    let finished = run::run(plan, &dir, say).await;
    let error = anyhow!("not judged");
    let error = finished.as_ref().err().unwrap_or(&error);
    let mut result = RunResult::failed(&plan.store, &name, error);
    result.workload = WORKLOAD.to_owned();
    result.nemeses = plan.nemesis_names();
    result.command = plan.command();
    let (servers, store) = (plan.servers, &result.subject);
    result.subject = format!("{servers} apiservers on {store}");
    if let Ok(finished) = finished {
        result.harness.clear();
        result.fault_phase = finished.fault_phase;
        result.load_end = finished.load_end;
        result.broken = finished.broken;
        result.died = finished.died;
        result.reigns = finished.reigns;
        if let Err(error) = judge(&dir, &mut result).await {
            result.harness = vec![format!("{error:#}")];
        }
    }
    result.save(&dir)?;
    write_index(&plan.store.out)?;
    Ok((result, dir))
}

/// Judges the history in a run's folder anew, and writes result and page again. `None` for a run of the store.
pub async fn judge_again(dir: &Path) -> Result<Option<RunResult>> {
    let mut result = RunResult::load(dir)?;
    if result.workload != WORKLOAD {
        return Ok(None);
    }
    judge(dir, &mut result).await?;
    result.save(dir)?;
    if let Some(out) = dir.parent() {
        write_index(out)?;
    }
    Ok(Some(result))
}

async fn judge(dir: &Path, result: &mut RunResult) -> Result<()> {
    let path = dir.join("history.jsonl");
    let judging = tokio::task::spawn_blocking(move || -> Result<(ApiReading, Judgement)> {
        let reading = read_api_file(&path).context("reading the history")?;
        let judgement = judge_api(&reading);
        Ok((reading, judgement))
    });
    let (reading, judgement) = timeout(JUDGE_DEADLINE, judging)
        .await
        .with_context(|| format!("the checkers did not end within {JUDGE_DEADLINE:?}"))?
        .context("a checker panicked")??;
    let mut figures = figures(&reading.history, result.load_end);
    figures.leader_changes = result.reigns.len().saturating_sub(1) as u64;
    result.judged(&judgement, figures);
    write_page(dir, result, &reading.history)
}

fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Patch => "patch",
        Verb::Status => "status",
        Verb::Delete => "delete",
        Verb::Get => "get",
        Verb::List => "list",
    }
}

fn figures(history: &ApiHistory, load_end: u64) -> Figures {
    let mut figures = Figures::default();
    let mut latencies: BTreeMap<&str, Histogram<u64>> = BTreeMap::new();
    let mut time = |name: &'static str, from: u64, to: u64| {
        let empty =
            || Histogram::new_with_max(LATENCY_US_MAX, 3).expect("three digits are possible");
        let us = (to.saturating_sub(from) / 1_000).clamp(1, LATENCY_US_MAX);
        latencies
            .entry(name)
            .or_insert_with(empty)
            .saturating_record(us);
    };
    let mut kinds: BTreeMap<&str, KindFigures> = BTreeMap::new();
    let mut done = 0;
    for call in &history.calls {
        let name = verb_name(call.verb);
        let kind = kinds.entry(name).or_default();
        match call.outcome {
            Outcome::Ok => {
                kind.ok += 1;
                done += 1;
                time(name, call.call, call.returned.unwrap_or(call.call));
            }
            Outcome::Fail => kind.fail += 1,
            Outcome::Unknown => kind.unknown += 1,
        }
        if call.outcome != Outcome::Ok {
            let text = format!("{} {}", call.status, call.error);
            let text: String = text.chars().take(ERROR_CHARS_MAX).collect();
            if figures.errors.contains_key(&text) || figures.errors.len() < ERRORS_MAX {
                *figures.errors.entry(text).or_default() += 1;
            }
        }
    }
    for list in &history.lists {
        kinds.entry("list").or_default().ok += 1;
        done += 1;
        time("list", list.call, list.returned);
    }
    for (name, latencies) in latencies {
        let kind = kinds.entry(name).or_default();
        let ms = |us: u64| us as f64 / 1_000.0;
        kind.p50_ms = ms(latencies.value_at_quantile(0.5));
        kind.p99_ms = ms(latencies.value_at_quantile(0.99));
        kind.max_ms = ms(latencies.max());
    }
    figures.kinds = kinds
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), kind))
        .collect();
    figures.operations = (history.calls.len() + history.lists.len()) as u64;
    figures.rate = done as f64 / (load_end.max(1) as f64 / 1e9);
    figures.watches = history.informers.len() as u64;
    figures.watch_events = history
        .informers
        .iter()
        .map(|informer| informer.events.len() as u64)
        .sum();
    figures.revision = history
        .changes
        .iter()
        .map(|change| change.revision)
        .max()
        .unwrap_or(0);
    for fault in history.faults.iter().filter(|fault| fault.proof.is_some()) {
        *figures.faults.entry(fault.name.clone()).or_default() += 1;
    }
    figures
}
