//! The page of one run.

use crate::limits::ANOMALIES_SHOWN;
use crate::report::html::{self, escape};
use crate::report::{RunResult, Shown, checkers_html, figures_html, head_html};
use anyhow::{Context, Result};
use mainstay_check::api::ApiHistory;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Faults listed with their proofs.
const FAULTS_MAX: usize = 400;
/// Characters of a record that is shown as proof.
const PROOF_CHARS_MAX: usize = 2_000;

/// Writes `report.html`.
pub(super) fn write_page(dir: &Path, result: &RunResult, history: &ApiHistory) -> Result<()> {
    let path = dir.join("report.html");
    let mut body = head_html(result);
    let logs: Vec<String> = (0..history.run.servers)
        .map(|server| format!("<a href=\"s{server}.log\">s{server}</a>"))
        .collect();
    let _ = writeln!(body, "<p>apiservers' logs: {}</p>", logs.join(" "));
    body.push_str(&wrong(result, history));
    body.push_str(&figures_html(result));
    body.push_str(&ends(history));
    body.push_str(&faults(history));
    body.push_str(&checkers_html(result));
    let title = format!("{}: {}", result.grade, result.name);
    std::fs::write(&path, html::page(&title, &body))
        .with_context(|| format!("writing {}", path.display()))
}

fn wrong(result: &RunResult, history: &ApiHistory) -> String {
    let mut html = String::new();
    let lines = result
        .harness
        .iter()
        .chain(&result.broken)
        .chain(&result.died)
        .chain(&result.unknown);
    for line in lines {
        let _ = writeln!(html, "<p>{}</p>", escape(line));
    }
    for anomaly in result.anomalies.iter().take(ANOMALIES_SHOWN) {
        html.push_str(&one(anomaly, history));
    }
    match html.is_empty() {
        true => html,
        false => format!("<h2>What is wrong</h2>\n{html}"),
    }
}

fn one(anomaly: &Shown, history: &ApiHistory) -> String {
    let at = anomaly
        .revision
        .map_or_else(String::new, |revision| format!(" at revision {revision}"));
    let mut html = format!(
        "<h3>{}{at}</h3>\n<p>{}</p>\n",
        escape(&anomaly.kind),
        escape(&anomaly.text)
    );
    let mut proofs = Vec::new();
    let calls = history.calls.iter();
    proofs.extend(
        calls
            .filter(|call| anomaly.operations.contains(&call.id))
            .map(|call| format!("{call:?}")),
    );
    let lists = history.lists.iter();
    proofs.extend(
        lists
            .filter(|list| anomaly.operations.contains(&list.id))
            .map(|list| format!("{list:?}")),
    );
    let watches = history.informers.iter();
    proofs.extend(
        watches
            .filter(|one| anomaly.watches.contains(&one.id))
            .map(|one| {
                format!(
                    "{} on s{} from {:?}, {} events, {}",
                    one.name,
                    one.server,
                    one.begin,
                    one.events.len(),
                    one.end
                )
            }),
    );
    let changes = history.changes.iter();
    proofs.extend(
        changes
            .filter(|change| Some(change.revision) == anomaly.revision)
            .map(|change| format!("{change:?}")),
    );
    if !proofs.is_empty() {
        let shown: Vec<String> = proofs
            .iter()
            .map(|proof| escape(&proof.chars().take(PROOF_CHARS_MAX).collect::<String>()))
            .collect();
        let _ = writeln!(html, "<pre>{}</pre>", shown.join("\n"));
    }
    html
}

/// How watches ended.
fn ends(history: &ApiHistory) -> String {
    let mut ends: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for informer in &history.informers {
        *ends.entry((&informer.name, &informer.end)).or_default() += 1;
    }
    let rows: Vec<Vec<String>> = ends
        .into_iter()
        .map(|((name, end), count)| vec![escape(name), escape(end), count.to_string()])
        .collect();
    format!(
        "<h2>Watches</h2>\n{}",
        html::table(&["informer", "end", "times"], &rows, false)
    )
}

fn faults(history: &ApiHistory) -> String {
    let second = |ns: u64| format!("{:.1} s", ns as f64 / 1e9);
    let rows: Vec<Vec<String>> = history
        .faults
        .iter()
        .take(FAULTS_MAX)
        .map(|fault| {
            vec![
                escape(&fault.name),
                second(fault.start),
                fault.end.map(second).unwrap_or_default(),
                escape(&fault.targets.join(" ")),
                escape(fault.proof.as_deref().unwrap_or("no effect was seen")),
            ]
        })
        .collect();
    format!(
        "<h2>Faults</h2>\n{}",
        html::table(&["fault", "from", "to", "targets", "proof"], &rows, false)
    )
}
