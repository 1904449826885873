//! The page over all runs of a folder.

use super::html::{self, escape};
use super::{RESULT_FILE, RunResult};
use crate::limits::INDEX_RUNS_MAX;
use crate::verdict::Grade;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes `index.html` over all runs below `out`; folders without a readable result are left out.
pub fn write_index(out: &Path) -> Result<()> {
    let mut runs = Vec::new();
    for entry in std::fs::read_dir(out).with_context(|| format!("reading {}", out.display()))? {
        let dir = entry
            .with_context(|| format!("reading {}", out.display()))?
            .path();
        if dir.join(RESULT_FILE).is_file()
            && let Ok(result) = RunResult::load(&dir)
        {
            runs.push(result);
        }
    }
    runs.sort_by(|a, b| (b.ended, &b.name).cmp(&(a.ended, &a.name)));
    let mut grades: BTreeMap<Grade, usize> = BTreeMap::new();
    for run in &runs {
        *grades.entry(run.grade).or_default() += 1;
    }
    let operations: u64 = runs.iter().map(|run| run.figures.operations).sum();
    let summary: Vec<String> = grades
        .iter()
        .map(|(grade, count)| format!("{} {count}", html::grade(*grade)))
        .collect();
    let rows: Vec<Vec<String>> = runs.iter().take(INDEX_RUNS_MAX).map(row).collect();
    let head = [
        "verdict",
        "run",
        "workload",
        "nemesis",
        "members",
        "seconds",
        "operations",
        "ok/s",
        "unknown",
        "longest gap ms",
        "leaders",
        "seed",
    ];
    let body = format!(
        "<h1>Fault tests</h1>\n<p>{} runs, {operations} operations: {}</p>\n{}",
        runs.len(),
        summary.join(" · "),
        html::table(&head, &rows, false)
    );
    let path = out.join("index.html");
    std::fs::write(&path, html::page("Fault tests", &body))
        .with_context(|| format!("writing {}", path.display()))
}

fn row(run: &RunResult) -> Vec<String> {
    vec![
        html::grade(run.grade),
        format!("<a href=\"{0}/report.html\">{0}</a>", escape(&run.name)),
        escape(&run.workload),
        escape(&run.nemeses),
        run.members.to_string(),
        run.seconds.to_string(),
        run.figures.operations.to_string(),
        format!("{:.0}", run.figures.rate),
        run.figures.unknown().to_string(),
        format!("{:.0}", run.figures.longest_gap_ms()),
        run.figures.leader_changes.to_string(),
        run.seed.to_string(),
    ]
}
