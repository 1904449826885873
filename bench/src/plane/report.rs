//! The table.

use std::fmt::Write;

use serde::Serialize;

use crate::measurement::Measurement;
use crate::report::figure;

/// What one process used.
#[derive(Debug, Serialize)]
pub(crate) struct Share {
    pub(crate) process: &'static str,
    /// CPU for each pod; of an idle plane, for each second.
    pub(crate) us_per_pod: f64,
    pub(crate) cores: f64,
    /// Resident memory at the end of the row.
    pub(crate) rss_bytes: u64,
}

/// One line of `components.jsonl`.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) nodes: u64,
    #[serde(flatten)]
    pub(crate) figures: Measurement,
    pub(crate) shares: Vec<Share>,
}

impl Row {
    fn has_latency(&self) -> bool {
        self.figures.max_us > 0.0
    }

    /// Cells: pods a second, p50 and p99 in milliseconds, of whoever has them.
    fn times(&self) -> [String; 3] {
        if !self.has_latency() {
            return ["–"; 3].map(str::to_owned);
        }
        let figures = &self.figures;
        [figures.per_s, figures.p50_us / 1e3, figures.p99_us / 1e3].map(figure)
    }

    fn remarks(&self) -> String {
        let mut remarks = String::new();
        if self.figures.errors.total > 0 {
            let _ = write!(remarks, "**{} errors**", self.figures.errors.total);
        }
        if self.figures.is_client_bound() {
            remarks.push_str(" load generator saturated");
        }
        if self.figures.is_starved() {
            remarks.push_str(" **others had the processors**");
        }
        remarks
    }

    /// One line for the progress display.
    pub(crate) fn line(&self) -> String {
        let [rate, p50, p99] = self.times();
        let mut line = format!(
            "{:<12} {:>5} nodes: {rate} pods/s; p50 {p50} ms; p99 {p99} ms;",
            self.name, self.nodes
        );
        for share in &self.shares {
            let _ = write!(
                line,
                " {} {} µs, {:.2} cores, {:.0} MiB;",
                share.process,
                figure(share.us_per_pod),
                share.cores,
                mib(share.rss_bytes)
            );
        }
        let _ = write!(line, " {}", self.remarks());
        for (text, count) in self.figures.errors.by_text.iter().take(3) {
            let _ = write!(line, "\n    {count} × {text}");
        }
        line
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// All rows.
pub(crate) fn table(rows: &[Row]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let mut out = "\nOf each process: CPU µs for each pod (of an idle plane: for each second) / MiB of memory.\n\
                   Times are from the request that creates (deletes) a pod until a watch tells that it (the next one) is bound.\n\n\
                   | nodes | row | pods/s | p50 ms | p99 ms |"
        .to_owned();
    for share in &first.shares {
        let _ = write!(out, " {} |", share.process);
    }
    out.push_str(" remarks |\n|---|---|---|---|---|");
    out.push_str(&"---|".repeat(first.shares.len() + 1));
    out.push('\n');
    for row in rows {
        let _ = write!(out, "| {} | {} |", row.nodes, row.name);
        for cell in row.times() {
            let _ = write!(out, " {cell} |");
        }
        for share in &row.shares {
            let cpu = figure(share.us_per_pod);
            let _ = write!(out, " {cpu} / {:.0} |", mib(share.rss_bytes));
        }
        let _ = writeln!(out, " {} |", row.remarks());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_plane_has_no_times() {
        let share = |process| Share {
            process,
            us_per_pod: 250.0,
            cores: 0.01,
            rss_bytes: 3 << 20,
        };
        let row = Row {
            name: "idle".to_owned(),
            nodes: 100,
            figures: Measurement::default(),
            shares: vec![share("store"), share("scheduler")],
        };
        let table = table(&[row]);
        assert!(
            table.contains("| 100 | idle | – | – | – | 250 / 3 | 250 / 3 |"),
            "{table}"
        );
    }
}
