//! One run from plan to report: folder, run, verdict, page.

use crate::figures::Figures;
use crate::known::set_aside;
use crate::limits::{JUDGE_DEADLINE, SEARCH_TIME};
use crate::plan::Plan;
use crate::report::{RunResult, write_index, write_page};
use crate::run;
use anyhow::{Context, Result, bail};
use mainstay_check::history::{Reading, read_file};
use mainstay_check::{Judgement, Options, judge_reading};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tokio::time::timeout;

/// Carries out a plan and writes everything about it below `plan.out`. An error is one of the harness that leaves no
/// result; a run that failed on the way has a result that says so.
pub async fn carry_out(plan: &Plan, say: fn(&str)) -> Result<(RunResult, PathBuf)> {
    plan.check()?;
    let dir = make_folder(&plan.out, &plan.name())?;
    let name = dir
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    say(&format!("run {name}\n    {}", plan.command()));
    let finished = run::run(plan, &dir, say).await;
    let mut result = RunResult::failed(
        plan,
        &name,
        finished
            .as_ref()
            .err()
            .unwrap_or(&anyhow::anyhow!("not judged")),
    );
    if let Ok(finished) = &finished {
        result.finished(finished);
        if let Err(error) = judge(&dir, &mut result).await {
            result.harness = vec![format!("{error:#}")];
        }
    }
    result.save(&dir)?;
    write_index(&plan.out)?;
    Ok((result, dir))
}

/// Judges the history in a run's folder anew, and writes result and page again.
pub async fn judge_again(dir: &Path) -> Result<RunResult> {
    let mut result = RunResult::load(dir)?;
    judge(dir, &mut result).await?;
    result.save(dir)?;
    if let Some(out) = dir.parent() {
        write_index(out)?;
    }
    Ok(result)
}

async fn judge(dir: &Path, result: &mut RunResult) -> Result<()> {
    let path = dir.join("history.jsonl");
    let reading = tokio::task::spawn_blocking(move || read_file(&path));
    let reading = reading
        .await
        .context("reading the history panicked")?
        .context("reading the history")?;
    let judging = tokio::task::spawn_blocking(move || {
        let judgement = opinion(&reading);
        (reading, judgement)
    });
    // Checkers have limits of their own; this one is against endless loops. The thread itself cannot be ended.
    let (reading, judgement) = timeout(JUDGE_DEADLINE, judging)
        .await
        .with_context(|| format!("the checkers did not end within {JUDGE_DEADLINE:?}"))?
        .context("a checker panicked")?;
    let mut judgement = judgement;
    result.known = set_aside(&mut judgement, &result.subjected, &reading.history);
    let figures = Figures::of(&reading.history, &result.reigns, result.load_end);
    result.judged(&judgement, figures);
    write_page(dir, result, &reading.history)
}

fn opinion(reading: &Reading) -> Judgement {
    let options = Options {
        search_time: SEARCH_TIME,
        ..Options::default()
    };
    judge_reading(reading, &options)
}

/// A folder of its own for a run.
pub(crate) fn make_folder(out: &Path, run: &str) -> Result<PathBuf> {
    std::fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .context("the clock is before 1970")?;
    // Folders sort by time, and the name says what was run.
    for attempt in 0..100_u32 {
        let name = format!("{}-{run}", now.as_secs() + u64::from(attempt));
        let dir = out.join(name);
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("creating {}", dir.display())),
        }
    }
    bail!("no free name for a run in {}", out.display());
}
