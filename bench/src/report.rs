//! Medians, ratios and the markdown tables.

use std::fmt::Write;

use crate::catalog::Row;
use crate::load::Workload;
use crate::measurement::Measurement;

/// All runs of one row: those against etcd, and those against the subject.
#[derive(Debug, Clone)]
pub(crate) struct RowResult {
    pub(crate) members: usize,
    pub(crate) row: Row,
    pub(crate) sides: [Vec<Measurement>; 2],
}

/// Which direction is an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

/// A figure that is compared.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) better: Better,
    pub(crate) get: fn(&Measurement) -> Option<f64>,
}

pub(crate) const THROUGHPUT: Column = Column {
    title: "per second",
    better: Better::More,
    get: |m| Some(m.per_s),
};
pub(crate) const P50: Column = Column {
    title: "p50 µs",
    better: Better::Less,
    get: |m| Some(m.p50_us),
};
pub(crate) const P99: Column = Column {
    title: "p99 µs",
    better: Better::Less,
    get: |m| Some(m.p99_us),
};
const P999: Column = Column {
    title: "p99.9 µs",
    better: Better::Less,
    get: |m| Some(m.p999_us),
};
pub(crate) const CPU: Column = Column {
    title: "server CPU µs each",
    better: Better::Less,
    get: |m| m.server_us_per_op,
};

const CALL_COLUMNS: &[Column] = &[THROUGHPUT, P50, P99, P999, CPU];
const WATCH_COLUMNS: &[Column] = &[
    THROUGHPUT,
    P50,
    P99,
    P999,
    CPU,
    Column {
        title: "server CPU µs per write",
        better: Better::Less,
        get: |m| extra(m, "server_us_per_write"),
    },
    Column {
        title: "RSS B per connection",
        better: Better::Less,
        get: |m| extra(m, "rss_per_connection_bytes"),
    },
    Column {
        title: "RSS B per watch",
        better: Better::Less,
        get: |m| extra(m, "rss_per_watch_bytes"),
    },
    Column {
        title: "watches created/s",
        better: Better::More,
        get: |m| extra(m, "watches_created_per_s"),
    },
];
const IDLE_COLUMNS: &[Column] = &[
    Column {
        title: "CPU µs per second",
        better: Better::Less,
        get: |m| m.server_us_per_op,
    },
    Column {
        title: "RSS B",
        better: Better::Less,
        get: |m| extra(m, "rss_bytes"),
    },
];

pub(crate) fn extra(m: &Measurement, name: &str) -> Option<f64> {
    m.extra.get(name).copied()
}

/// The middle value; of an even count, the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => None,
        _ if n % 2 == 1 => Some(values[n / 2]),
        _ => Some(f64::midpoint(values[n / 2 - 1], values[n / 2])),
    }
}

impl RowResult {
    fn columns(&self) -> &'static [Column] {
        match self.row.workload {
            Workload::Watch { .. } => WATCH_COLUMNS,
            Workload::Idle => IDLE_COLUMNS,
            _ => CALL_COLUMNS,
        }
    }

    /// Medians of both sides over the runs in which anything succeeded.
    fn medians(&self, column: &Column) -> [Option<f64>; 2] {
        [0, 1].map(|side| {
            let done = self.sides[side].iter().filter(|m| m.ops > 0);
            median(done.filter_map(column.get).collect())
        })
    }

    /// `etcd → subject (×ratio)`; above 1 the subject is better.
    fn cell(&self, column: &Column) -> String {
        let [etcd, subject] = self.medians(column);
        let text = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), figure);
        let ratio = match (etcd, subject, column.better) {
            (Some(e), Some(s), Better::More) if e > 0.0 => format!(" (×{:.2})", s / e),
            (Some(e), Some(s), Better::Less) if s > 0.0 => format!(" (×{:.2})", e / s),
            _ => String::new(),
        };
        format!("{} → {}{ratio}", text(etcd), text(subject))
    }

    /// Errors of the subject; etcd's only mark the row.
    pub(crate) fn subject_errors(&self) -> u64 {
        self.sides[1].iter().map(|m| m.errors.total).sum()
    }

    /// What a reader must know before believing the row.
    fn marks(&self) -> String {
        let mut marks = Vec::new();
        for (side, name) in self.sides.iter().zip(["etcd", "subject"]) {
            let errors: u64 = side.iter().map(|m| m.errors.total).sum();
            if errors > 0 {
                marks.push(format!("**{errors} errors at {name}**"));
            }
            if side.iter().any(Measurement::is_client_bound) {
                marks.push(format!("load generator saturated at {name}"));
            }
            if side.iter().any(Measurement::is_starved) {
                marks.push(format!("others had the processors at {name}"));
            }
        }
        marks.join("; ")
    }

    fn client(&self) -> String {
        let of = |get: fn(&Measurement) -> f64| {
            [0, 1].map(|side| median(self.sides[side].iter().map(get).collect()).unwrap_or(0.0))
        };
        let [e, s] = of(|m| m.client_us_per_op);
        let [e_share, s_share] = of(|m| m.client_share * 100.0);
        format!(
            "{} ({e_share:.0} %) → {} ({s_share:.0} %)",
            figure(e),
            figure(s)
        )
    }

    /// One line for the progress display.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("{}/{:<24}", self.members, self.row.name);
        for column in self.columns().iter().take(5) {
            let _ = write!(line, " {}: {};", column.title, self.cell(column));
        }
        let marks = self.marks();
        if !marks.is_empty() {
            let _ = write!(line, " {marks}");
        }
        line
    }
}

/// Three significant digits for small figures, whole numbers with separators for large ones.
pub(crate) fn figure(v: f64) -> String {
    if v < 9.995 {
        return format!("{v:.2}");
    }
    if v < 99.95 {
        return format!("{v:.1}");
    }
    let digits = format!("{v:.0}");
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// All tables, then every error text.
pub(crate) fn tables(results: &[RowResult]) -> String {
    let mut out = String::new();
    let watch = |r: &&RowResult| matches!(r.row.workload, Workload::Watch { .. });
    let idle = |r: &&RowResult| r.row.workload == Workload::Idle;
    let calls: Vec<_> = results.iter().filter(|r| !watch(r) && !idle(r)).collect();
    let watches: Vec<_> = results.iter().filter(watch).collect();
    let idles: Vec<_> = results.iter().filter(idle).collect();
    table(&mut out, "Requests", &calls);
    table(
        &mut out,
        "Watches (figures per delivered event; latency from the intended write)",
        &watches,
    );
    table(&mut out, "Without any client", &idles);
    errors(&mut out, results);
    out
}

fn table(out: &mut String, title: &str, results: &[&RowResult]) {
    let Some(first) = results.first() else { return };
    let columns = first.columns();
    let _ = write!(out, "\n### {title}\n\n| members/row |");
    for column in columns {
        let _ = write!(out, " {} |", column.title);
    }
    out.push_str(" client CPU µs each (of a core) | remarks |\n|---|");
    out.push_str(&"---|".repeat(columns.len() + 2));
    out.push('\n');
    for result in results {
        let _ = write!(out, "| {}/{} |", result.members, result.row.name);
        for column in columns {
            let _ = write!(out, " {} |", result.cell(column));
        }
        let _ = writeln!(out, " {} | {} |", result.client(), result.marks());
    }
}

fn errors(out: &mut String, results: &[RowResult]) {
    let mut lines = String::new();
    for result in results {
        for (side, name) in result.sides.iter().zip(["etcd", "subject"]) {
            for (text, count) in side.iter().flat_map(|m| &m.errors.by_text) {
                let text = text.replace('\n', " / ");
                let _ = writeln!(
                    lines,
                    "- {}/{} {name}: {count} × {text}",
                    result.members, result.row.name
                );
            }
        }
    }
    if !lines.is_empty() {
        let _ = write!(out, "\n### Errors\n\n{lines}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(etcd: &[f64], subject: &[f64]) -> RowResult {
        let side = |list: &[f64]| {
            list.iter()
                .map(|&v| Measurement {
                    ops: 1,
                    per_s: v,
                    p50_us: v,
                    ..Measurement::default()
                })
                .collect()
        };
        let row = Row {
            name: "put-1".to_owned(),
            workload: "put-1".parse().unwrap(),
        };
        RowResult {
            members: 1,
            row,
            sides: [side(etcd), side(subject)],
        }
    }

    #[test]
    fn ratios_above_one_favour_the_subject() {
        let r = result(&[100.0, 900.0, 200.0], &[400.0]);
        assert_eq!(r.cell(&THROUGHPUT), "200 → 400 (×2.00)");
        assert_eq!(r.cell(&P50), "200 → 400 (×0.50)");
        assert_eq!(r.cell(&CPU), "– → –");
    }

    #[test]
    fn failed_runs_are_shown_and_not_averaged() {
        let mut r = result(&[100.0], &[100.0]);
        r.sides[1].push(Measurement::failed("boom"));
        assert_eq!(r.cell(&THROUGHPUT), "100 → 100 (×1.00)");
        let text = tables(&[r]);
        assert!(text.contains("**1 errors at subject**"), "{text}");
        assert!(text.contains("- 1/put-1 subject: 1 × boom"), "{text}");
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!(figure(0.123), "0.12");
        assert_eq!(figure(12.34), "12.3");
        assert_eq!(figure(1_234_567.8), "1,234,568");
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
    }
}
