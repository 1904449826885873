//! Latency over time, as a drawing: a point per operation, bands where faults acted, a line where the leader changed.

use super::html::escape;
use crate::figures::kind_name;
use crate::limits::PLOT_POINTS_MAX;
use crate::tower::Reign;
use mainstay_check::History;
use mainstay_check::history::{Operation, Outcome};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const WIDTH: f64 = 1_120.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 62.0;
const BOTTOM: f64 = 28.0;
/// Height of one row of fault bands, above the points.
const BAND: f64 = 15.0;
/// The range of latencies shown, milliseconds; beyond it points lie on the edge.
const MS_MIN: f64 = 0.1;
const MS_MAX: f64 = 10_000.0;
const COLORS: [&str; 8] = [
    "#3b76c4", "#2a9d5c", "#d08a1d", "#8d57b8", "#1f9aa8", "#b8577f", "#7c8a2e", "#6b6f7a",
];

/// The drawing of a run.
pub(super) fn plot(history: &History, reigns: &[Reign]) -> String {
    let end = history
        .operations
        .iter()
        .map(|o| o.returned.unwrap_or(o.call))
        .max()
        .unwrap_or(1)
        .max(1);
    let rows = rows(history);
    let top = 10.0 + BAND * rows.len() as f64;
    let x = |time: u64| LEFT + (WIDTH - LEFT - 10.0) * time as f64 / end as f64;
    let height = top + HEIGHT;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"100%\" role=\"img\" aria-label=\"latency over time\" font-size=\"10\">\n"
    );
    bands(&mut svg, history, &rows, height, &x);
    axes(&mut svg, top, height, end, &x);
    for reign in reigns.iter().skip(1) {
        let at = x(reign.from);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{:.1}\" stroke=\"#888\" stroke-dasharray=\"2 3\"><title>m{} leads in term {}</title></line>",
            height - BOTTOM,
            reign.member,
            reign.term
        );
    }
    let kinds = points(&mut svg, history, top, height, &x);
    svg.push_str("</svg>\n<p>");
    for (kind, color) in kinds {
        let _ = write!(
            svg,
            "<span style=\"color:{color}\">&#9679;</span> {kind} &nbsp; "
        );
    }
    svg.push_str("<span style=\"color:#b3261e\">&#10005;</span> failed &nbsp; <span style=\"color:#b3261e\">&#9711;</span> unknown &nbsp; dashed: new leader</p>\n");
    svg
}

fn rows(history: &History) -> Vec<&str> {
    let mut rows: Vec<&str> = history
        .faults
        .iter()
        .map(|fault| fault.name.as_str())
        .collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

fn bands(svg: &mut String, history: &History, rows: &[&str], height: f64, x: &impl Fn(u64) -> f64) {
    for fault in &history.faults {
        let row = rows
            .iter()
            .position(|name| *name == fault.name)
            .unwrap_or(0);
        let (from, to) = (x(fault.start), x(fault.end.unwrap_or(fault.start)));
        let width = (to - from).max(1.5);
        let y = 6.0 + BAND * row as f64;
        let proof = fault.proof.as_deref().unwrap_or("no effect was seen");
        let title = escape(&format!(
            "{} {}: {proof}",
            fault.name,
            fault.targets.join(" ")
        ));
        let _ = writeln!(
            svg,
            "<g><title>{title}</title><rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"#b3261e\" opacity=\"0.75\"/>\
             <rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"#b3261e\" opacity=\"0.08\"/></g>",
            BAND - 4.0,
            y + BAND - 4.0,
            height - BOTTOM - y - BAND + 4.0
        );
    }
    for (row, name) in rows.iter().enumerate() {
        let y = 15.0 + BAND * row as f64;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{y:.1}\" text-anchor=\"end\" font-size=\"8\">{}</text>",
            LEFT - 4.0,
            escape(name)
        );
    }
}

fn axes(svg: &mut String, top: f64, height: f64, end: u64, x: &impl Fn(u64) -> f64) {
    for exponent in -1..=4 {
        let ms = 10_f64.powi(exponent);
        let y = y_of(ms, top, height);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#8883\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{ms} ms</text>",
            WIDTH - 10.0,
            LEFT - 4.0,
            y + 3.0
        );
    }
    let seconds = end / 1_000_000_000;
    let step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600]
        .into_iter()
        .find(|step| seconds / step <= 15);
    let step = step.unwrap_or(7_200);
    for second in (0..=seconds).step_by(usize::try_from(step).expect("steps are small")) {
        let at = x(second * 1_000_000_000);
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{second} s</text>",
            height - BOTTOM + 14.0
        );
    }
}

fn y_of(ms: f64, top: f64, height: f64) -> f64 {
    let share =
        (ms.clamp(MS_MIN, MS_MAX).log10() - MS_MIN.log10()) / (MS_MAX.log10() - MS_MIN.log10());
    height - BOTTOM - share * (height - BOTTOM - top)
}

fn points(
    svg: &mut String,
    history: &History,
    top: f64,
    height: f64,
    x: &impl Fn(u64) -> f64,
) -> Vec<(&'static str, &'static str)> {
    let mut colors: BTreeMap<&'static str, &'static str> = BTreeMap::new();
    // What went wrong is always shown; of the rest an even choice.
    let step = history.operations.len().div_ceil(PLOT_POINTS_MAX).max(1);
    let mut bad = 0;
    for (index, operation) in history.operations.iter().enumerate() {
        let went_wrong = operation.outcome != Outcome::Ok;
        bad += usize::from(went_wrong);
        if (went_wrong && bad < PLOT_POINTS_MAX) || index % step == 0 {
            let kind = kind_name(&operation.op);
            let next = COLORS[colors.len() % COLORS.len()];
            let color = *colors.entry(kind).or_insert(next);
            point(svg, operation, color, top, height, x);
        }
    }
    colors.into_iter().collect()
}

fn point(
    svg: &mut String,
    operation: &Operation,
    color: &str,
    top: f64,
    height: f64,
    x: &impl Fn(u64) -> f64,
) {
    let at = x(operation.call);
    let took = operation
        .returned
        .map(|returned| (returned.saturating_sub(operation.call)) as f64 / 1e6);
    let y = y_of(took.unwrap_or(MS_MAX), top, height);
    let _ = match operation.outcome {
        Outcome::Ok => write!(
            svg,
            "<circle cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"1.3\" fill=\"{color}\" opacity=\"0.6\"/>"
        ),
        Outcome::Fail => write!(
            svg,
            "<path d=\"M{:.1} {:.1}l4 4m0 -4l-4 4\" stroke=\"#b3261e\" fill=\"none\"/>",
            at - 2.0,
            y - 2.0
        ),
        Outcome::Unknown => write!(
            svg,
            "<circle cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"2.5\" stroke=\"#b3261e\" fill=\"none\"/>"
        ),
    };
    svg.push('\n');
}
