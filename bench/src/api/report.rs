//! The tables of the apiserver's figures.

use std::fmt::Write;

use super::rows::{Row, Work};
use crate::measurement::Measurement;
use crate::report::{Better, CPU, Column, P50, P99, THROUGHPUT, extra, figure, median};

/// All runs of a row: by stack, in the order of the stacks.
#[derive(Debug, Clone)]
pub(crate) struct RowResult {
    pub(crate) row: Row,
    pub(crate) sides: Vec<Vec<Measurement>>,
}

const fn less(title: &'static str, get: fn(&Measurement) -> Option<f64>) -> Column {
    Column {
        title,
        better: Better::Less,
        get,
    }
}

const SERVER_CPU: Column = less("apiserver CPU µs each", |m| {
    extra(m, "apiserver_us_per_op")
});
const STORE_CPU: Column = less("store CPU µs each", |m| extra(m, "store_us_per_op"));
const RSS: Column = less("apiserver RSS MiB", |m| mib(m, "rss_bytes"));
const STORE_RSS: Column = less("store RSS MiB", |m| mib(m, "store_rss_bytes"));

const CALLS: &[Column] = &[THROUGHPUT, P50, P99, SERVER_CPU, STORE_CPU, CPU];
const LISTS: &[Column] = &[
    THROUGHPUT,
    P50,
    less("MB each", |m| extra(m, "bytes_per_op").map(|b| b / 1e6)),
    Column {
        title: "MB/s",
        better: Better::More,
        get: |m| extra(m, "bytes_per_s").map(|b| b / 1e6),
    },
    less("apiserver CPU ms each", |m| {
        extra(m, "apiserver_us_per_op").map(|us| us / 1e3)
    }),
    less("apiserver CPU ns per byte", |m| {
        extra(m, "apiserver_ns_per_byte")
    }),
    less("store CPU ms each", |m| {
        extra(m, "store_us_per_op").map(|us| us / 1e3)
    }),
    less("peak RSS MiB", |m| mib(m, "peak_rss_bytes")),
];
const WATCHES: &[Column] = &[
    THROUGHPUT,
    P50,
    P99,
    SERVER_CPU,
    less("RSS KiB per watcher", |m| {
        extra(m, "rss_per_watcher_bytes").map(|b| b / 1024.0)
    }),
    less("CPU µs to start a watcher", |m| {
        extra(m, "start_us_per_watcher")
    }),
    RSS,
];
const IDLE: &[Column] = &[
    RSS,
    STORE_RSS,
    less("CPU µs per second", |m| m.server_us_per_op),
    less("ms to be ready", |m| extra(m, "ready_ms")),
];
const MEMORY: &[Column] = &[
    RSS,
    STORE_RSS,
    less("apiserver bytes per pod", |m| extra(m, "rss_per_pod_bytes")),
    less("peak RSS MiB", |m| mib(m, "peak_rss_bytes")),
];

fn mib(m: &Measurement, name: &str) -> Option<f64> {
    extra(m, name).map(|bytes| bytes / f64::from(1 << 20))
}

fn columns(work: Work) -> (&'static str, &'static [Column]) {
    match work {
        Work::Idle => ("Without any client", IDLE),
        Work::Memory => ("With all pods", MEMORY),
        Work::Calls { op, .. } if op.is_list() => ("Lists", LISTS),
        Work::Calls { .. } => ("Requests", CALLS),
        Work::Watch { .. } => (
            "Watches (per delivered event; from the write that caused it; the watched server alone)",
            WATCHES,
        ),
    }
}

impl RowResult {
    pub(crate) fn new(row: Row, sides: usize) -> Self {
        Self {
            row,
            sides: vec![Vec::new(); sides],
        }
    }

    fn value(&self, side: usize, column: &Column) -> Option<f64> {
        let done = self.sides[side].iter().filter(|m| m.ops > 0);
        median(done.filter_map(column.get).collect())
    }

    /// The value of a stack; for others than the first, how many times better the first is.
    fn cell(&self, side: usize, column: &Column) -> String {
        let Some(value) = self.value(side, column) else {
            return "–".to_owned();
        };
        let first = self.value(0, column).filter(|_| side > 0);
        let ratio = match (first, column.better) {
            (Some(first), Better::More) if value > 0.0 => first / value,
            (Some(first), Better::Less) if first > 0.0 => value / first,
            _ => return figure(value),
        };
        format!("{} (×{ratio:.2})", figure(value))
    }

    /// Errors at the first stack.
    pub(crate) fn subject_errors(&self) -> u64 {
        let first = self.sides.first().into_iter().flatten();
        first.map(|m| m.errors.total).sum()
    }

    fn remarks(&self, side: usize) -> String {
        let runs = &self.sides[side];
        let share = median(runs.iter().map(|m| m.client_share * 100.0).collect()).unwrap_or(0.0);
        let mut remarks = format!("{share:.0} %");
        let errors: u64 = runs.iter().map(|m| m.errors.total).sum();
        if errors > 0 {
            let _ = write!(remarks, " **{errors} errors**");
        }
        if runs.iter().any(Measurement::is_client_bound) {
            remarks.push_str(" load generator saturated");
        }
        if runs.iter().any(Measurement::is_starved) {
            let shares = runs.iter().filter_map(|m| m.server_wait_share);
            let share = median(shares.collect()).unwrap_or(0.0) * 100.0;
            let _ = write!(
                remarks,
                " **others had the processors for {share:.0} % of the servers' time**"
            );
        }
        remarks
    }

    /// One line for the progress display.
    pub(crate) fn line(&self, side: usize, label: &str) -> String {
        let mut line = format!("{:<18} {label}:", self.row.name);
        for column in columns(self.row.work).1 {
            let _ = write!(line, " {} {};", column.title, self.cell(side, column));
        }
        let _ = write!(line, " client {}", self.remarks(side));
        let texts = self.sides[side].iter().flat_map(|m| &m.errors.by_text);
        for (text, count) in texts.take(3) {
            let _ = write!(line, "\n    {count} × {text}");
        }
        line
    }
}

/// All tables, one for every kind of row.
pub(crate) fn tables(results: &[RowResult], labels: &[String]) -> String {
    let mut out = String::new();
    let mut titles: Vec<&str> = Vec::new();
    for result in results {
        let (title, columns) = columns(result.row.work);
        if titles.contains(&title) {
            continue;
        }
        titles.push(title);
        let _ = write!(out, "\n### {title}\n\n| row | stack |");
        for column in columns {
            let _ = write!(out, " {} |", column.title);
        }
        out.push_str(" load generator's share of a core |\n|---|---|");
        out.push_str(&"---|".repeat(columns.len() + 1));
        out.push('\n');
        let same = |r: &&RowResult| self::columns(r.row.work).0 == title;
        for result in results.iter().filter(same) {
            for (side, label) in labels.iter().enumerate() {
                let _ = write!(out, "| {} | {label} |", result.row.name);
                for column in columns {
                    let _ = write!(out, " {} |", result.cell(side, column));
                }
                let _ = writeln!(out, " {} |", result.remarks(side));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::rows::ROWS;
    use super::*;

    #[test]
    fn ratios_above_one_favour_the_first_stack() {
        let mut result = RowResult::new(ROWS[1], 2);
        for (side, per_s) in [(0, 400.0), (1, 100.0)] {
            result.sides[side].push(Measurement {
                ops: 1,
                per_s,
                p50_us: per_s,
                ..Measurement::default()
            });
        }
        assert_eq!(result.cell(0, &THROUGHPUT), "400");
        assert_eq!(result.cell(1, &THROUGHPUT), "100 (×4.00)");
        assert_eq!(result.cell(1, &P50), "100 (×0.25)");
        let text = tables(&[result], &["a".to_owned(), "b".to_owned()]);
        assert!(text.contains("| create-1 | b | 100 (×4.00) |"), "{text}");
    }
}
