//! The tables.

use std::fmt::Write;

use serde::Serialize;

use crate::latency::Latency;
use crate::report::figure;

/// One line of times.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Times {
    pub(crate) what: String,
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Times {
    pub(crate) fn of(what: &str, latency: &Latency) -> Self {
        Self {
            what: what.to_owned(),
            count: latency.count(),
            p50_ms: latency.us(0.5) / 1e3,
            p99_ms: latency.us(0.99) / 1e3,
            max_ms: latency.max_us() / 1e3,
        }
    }

    /// As a line of the table, and of the progress display.
    pub(crate) fn line(&self) -> String {
        let figures = [self.p50_ms, self.p99_ms, self.max_ms].map(figure);
        format!(
            "| {} | {} | {} |",
            self.what,
            self.count,
            figures.join(" | ")
        )
    }
}

/// What a kind of process uses on hosts of one kind, on average over them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Share {
    pub(crate) hosts: &'static str,
    pub(crate) process: String,
    /// Processes on one host.
    pub(crate) count: f64,
    pub(crate) rss_mib: f64,
    /// CPU, milliseconds for each second.
    pub(crate) cpu_ms: f64,
}

/// Everything.
pub(crate) fn tables(times: &[Times], shares: &[Share]) -> String {
    let mut out =
        "\n| from → to | n | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|\n".to_owned();
    for one in times {
        let _ = writeln!(out, "{}", one.line());
    }
    out.push_str(
        "\nWithout any work, on each host of its kind: memory is resident, so what programs share counts for each.\n\n\
         | host | process | processes | MiB | CPU ms/s |\n|---|---|---|---|---|\n",
    );
    for share in shares {
        let figures = [share.count, share.rss_mib, share.cpu_ms].map(figure);
        let _ = writeln!(
            out,
            "| {} | {} | {} |",
            share.hosts,
            share.process,
            figures.join(" | ")
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_a_table() {
        let mut latency = Latency::new();
        latency.record(2_000_000);
        let times = Times::of("a → b", &latency);
        assert!(times.line().starts_with("| a → b | 1 | 2.00 | 2.00 |"));
        let share = Share {
            hosts: "master",
            process: "kvstore".to_owned(),
            count: 1.0,
            rss_mib: 80.5,
            cpu_ms: 12.0,
        };
        let out = tables(&[times], &[share]);
        assert!(
            out.contains("| master | kvstore | 1.00 | 80.5 | 12.0 |"),
            "{out}"
        );
    }
}
