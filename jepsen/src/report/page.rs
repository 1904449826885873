//! The page of one run.

use super::html::{self, escape};
use super::{RunResult, Shown, plot};
use crate::limits::ANOMALIES_SHOWN;
use anyhow::{Context, Result};
use mainstay_check::History;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// Operations shown as proof of one broken promise.
const PROOFS_MAX: usize = 12;
/// Faults listed with their proofs.
const FAULTS_MAX: usize = 200;

/// Writes `report.html`.
pub fn write_page(dir: &Path, result: &RunResult, history: &History) -> Result<()> {
    let path = dir.join("report.html");
    let mut body = head(result);
    body.push_str(&wrong(result, history));
    body.push_str("<h2>Latency over time</h2>\n");
    body.push_str(&plot::plot(history, &result.reigns));
    body.push_str(&figures(result));
    body.push_str(&faults(history));
    body.push_str(&checkers(result));
    let title = format!("{}: {}", result.grade, result.name);
    std::fs::write(&path, html::page(&title, &body))
        .with_context(|| format!("writing {}", path.display()))
}

/// What was run, and how to run it again.
pub(crate) fn head(result: &RunResult) -> String {
    let rows = [
        ("workload", result.workload.clone()),
        ("nemesis", result.nemeses.clone()),
        ("members", result.members.to_string()),
        ("time of faults", format!("{} s", result.seconds)),
        ("seed", result.seed.to_string()),
        ("subject", result.subject.clone()),
    ];
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|(name, value)| vec![(*name).to_owned(), escape(value)])
        .collect();
    format!(
        "<p><a href=\"../index.html\">all runs</a></p>\n<h1>{} {}</h1>\n{}<p>Again:</p><pre>{}</pre>\n\
         <p><a href=\"history.jsonl\">history</a> · <a href=\"result.json\">result</a> · logs: {}</p>\n",
        html::grade(result.grade),
        escape(&result.name),
        html::table(&["", ""], &rows, false),
        escape(&result.command),
        (0..result.members)
            .map(|m| format!("<a href=\"m{m}.log\">m{m}</a>"))
            .collect::<Vec<_>>()
            .join(" "),
    )
}

/// Whatever keeps the run from being valid.
fn wrong(result: &RunResult, history: &History) -> String {
    let mut html = String::new();
    for (title, texts) in [
        ("Promises the harness saw broken", &result.broken),
        ("The run itself", &result.harness),
        ("Known faults of the control", &result.known),
        ("Not decided", &result.unknown),
        ("Processes that ended by themselves", &result.died),
    ] {
        if texts.is_empty() {
            continue;
        }
        let _ = writeln!(html, "<h2>{title}</h2>\n<ul>");
        for text in texts.iter().take(ANOMALIES_SHOWN) {
            let _ = writeln!(html, "<li>{}</li>", escape(text));
        }
        html.push_str("</ul>\n");
    }
    if !result.anomalies.is_empty() {
        let _ = writeln!(html, "<h2>Anomalies ({})</h2>", result.anomalies.len());
    }
    for anomaly in result.anomalies.iter().take(ANOMALIES_SHOWN) {
        html.push_str(&one(anomaly, history));
    }
    html
}

fn one(anomaly: &Shown, history: &History) -> String {
    let at = anomaly
        .revision
        .map_or_else(String::new, |revision| format!(" at revision {revision}"));
    let mut html = format!(
        "<h3>{}{at}</h3>\n<p>{}</p>\n",
        escape(&anomaly.kind),
        escape(&anomaly.text)
    );
    let wanted: BTreeSet<u64> = anomaly.operations.iter().copied().collect();
    let mut lines = Vec::new();
    for operation in history
        .operations
        .iter()
        .filter(|operation| wanted.contains(&operation.id))
        .take(PROOFS_MAX)
    {
        lines.push(serde_json::to_string(operation).unwrap_or_default());
    }
    let wanted: BTreeSet<u64> = anomaly.watches.iter().copied().collect();
    for record in history
        .watches
        .iter()
        .filter(|record| wanted.contains(&record.watch))
        .take(PROOFS_MAX)
    {
        lines.push(serde_json::to_string(record).unwrap_or_default());
    }
    if !lines.is_empty() {
        let shown: Vec<String> = lines
            .iter()
            .map(|line| escape(&line.chars().take(2_000).collect::<String>()))
            .collect();
        let _ = writeln!(html, "<pre>{}</pre>", shown.join("\n"));
    }
    html
}

/// What the clients did, in numbers.
pub(crate) fn figures(result: &RunResult) -> String {
    let figures = &result.figures;
    let mut html = format!(
        "<h2>Figures</h2>\n<p>{} operations, {:.0} successful per second, {} unknown; {} watches, {} events; {} changes of leader; \
         last revision {}.</p>\n",
        figures.operations,
        figures.rate,
        figures.unknown(),
        figures.watches,
        figures.watch_events,
        figures.leader_changes,
        figures.revision
    );
    let rows: Vec<Vec<String>> = figures
        .kinds
        .iter()
        .map(|(name, kind)| {
            let ms = |value: f64| format!("{value:.1}");
            vec![
                escape(name),
                kind.ok.to_string(),
                kind.fail.to_string(),
                kind.unknown.to_string(),
                ms(kind.p50_ms),
                ms(kind.p99_ms),
                ms(kind.max_ms),
            ]
        })
        .collect();
    html.push_str(&html::table(
        &[
            "operation",
            "ok",
            "fail",
            "unknown",
            "p50 ms",
            "p99 ms",
            "max ms",
        ],
        &rows,
        true,
    ));
    if !figures.gaps.is_empty() {
        let shown: Vec<String> = figures
            .gaps
            .iter()
            .take(10)
            .map(|gap| {
                format!(
                    "{:.2} s at {:.1} s",
                    gap.length as f64 / 1e9,
                    gap.from as f64 / 1e9
                )
            })
            .collect();
        let _ = writeln!(
            html,
            "<p>Longest times without an acknowledged write: {}.</p>",
            shown.join(", ")
        );
    }
    if !figures.errors.is_empty() {
        let rows: Vec<Vec<String>> = figures
            .errors
            .iter()
            .map(|(text, count)| vec![escape(text), count.to_string()])
            .collect();
        html.push_str(&html::table(&["error", "operations"], &rows, true));
    }
    html
}

fn faults(history: &History) -> String {
    let rows: Vec<Vec<String>> = history
        .faults
        .iter()
        .take(FAULTS_MAX)
        .map(|fault| {
            let second = |ns: u64| format!("{:.1} s", ns as f64 / 1e9);
            vec![
                escape(&fault.name),
                second(fault.start),
                fault.end.map(second).unwrap_or_default(),
                escape(&fault.targets.join(" ")),
                escape(fault.proof.as_deref().unwrap_or("no effect was seen")),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<h2>Faults</h2>\n{}",
        html::table(&["fault", "from", "to", "targets", "proof"], &rows, false)
    )
}

/// What each checker looked at.
pub(crate) fn checkers(result: &RunResult) -> String {
    let rows: Vec<Vec<String>> = result
        .checkers
        .iter()
        .map(|checker| {
            let figures: Vec<String> = checker
                .figures
                .iter()
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            let notes: Vec<String> = checker
                .notes
                .iter()
                .chain(&checker.unknown)
                .map(|note| escape(note))
                .collect();
            vec![
                escape(&checker.name),
                checker.anomalies.to_string(),
                escape(&figures.join(", ")),
                notes.join("<br>"),
            ]
        })
        .collect();
    format!(
        "<h2>Checkers</h2>\n{}",
        html::table(
            &["checker", "anomalies", "looked at", "notes"],
            &rows,
            false
        )
    )
}
