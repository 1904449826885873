//! The result of one run of one workload against one server.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::conn::Outcome;
use crate::latency::Latency;
use crate::limits::{CLIENT_BUSY_SHARE, ERROR_TEXTS_MAX, ERRORS_MAX, SERVER_STARVED_SHARE};
use crate::usage::{Gauge, Usage};

/// Error replies by text, and everything else that makes a row untrue.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Errors {
    pub(crate) total: u64,
    pub(crate) by_text: BTreeMap<String, u64>,
}

impl Errors {
    pub(crate) fn add(&mut self, text: &str, count: u64) {
        if count == 0 {
            return;
        }
        self.total += count;
        let full = self.by_text.len() >= ERROR_TEXTS_MAX && !self.by_text.contains_key(text);
        let text = if full { "others" } else { text };
        *self.by_text.entry(text.to_owned()).or_default() += count;
    }

    /// Counts a call's end unless it is a success.
    pub(crate) fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Ok => {}
            Outcome::Status { code, message } => self.add(&format!("status {code}: {message}"), 1),
            Outcome::NoStatus { http } => {
                self.add(
                    &format!("stream ended without grpc-status (http {http:?})"),
                    1,
                );
            }
            Outcome::Reset(code) => self.add(&format!("stream reset, code {code}"), 1),
        }
    }

    pub(crate) fn too_many(&self) -> bool {
        self.total > ERRORS_MAX
    }
}

/// One line of the JSON output. Times are in microseconds, memory in bytes.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Measurement {
    /// Successful operations; for a watch workload, delivered events.
    pub(crate) ops: u64,
    pub(crate) seconds: f64,
    pub(crate) per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
    /// CPU of all members per operation (per event); None without process ids.
    pub(crate) server_us_per_op: Option<f64>,
    pub(crate) server_cores: Option<f64>,
    /// Of the time in which threads of the servers could have run, the part in which others had the processors.
    pub(crate) server_wait_share: Option<f64>,
    pub(crate) client_us_per_op: f64,
    /// Share of one core the load generator used.
    pub(crate) client_share: f64,
    pub(crate) errors: Errors,
    /// Figures that only some workloads have, by name with unit.
    pub(crate) extra: BTreeMap<&'static str, f64>,
}

impl Measurement {
    /// Puts a run together; one without a single operation is an error of its own.
    pub(crate) fn new(
        ops: u64,
        latency: &Latency,
        usage: &Usage,
        gauge: &Gauge,
        errors: Errors,
    ) -> Self {
        let per = |ns: u64| ns as f64 / 1e3 / ops.max(1) as f64;
        let seconds = usage.seconds.max(1e-9);
        let mut m = Self {
            ops,
            seconds: usage.seconds,
            per_s: ops as f64 / seconds,
            p50_us: latency.us(0.5),
            p99_us: latency.us(0.99),
            p999_us: latency.us(0.999),
            max_us: latency.max_us(),
            server_us_per_op: (!gauge.is_blind()).then(|| per(usage.server_cpu_ns)),
            server_cores: (!gauge.is_blind()).then(|| usage.server_cpu_ns as f64 / 1e9 / seconds),
            server_wait_share: wait_share(usage),
            client_us_per_op: per(usage.client_cpu_ns),
            client_share: usage.client_cpu_ns as f64 / 1e9 / seconds,
            errors,
            extra: BTreeMap::new(),
        };
        if ops == 0 {
            m.errors.add("no operation succeeded", 1);
        }
        m
    }

    /// A run that could not be done.
    pub(crate) fn failed(text: &str) -> Self {
        let mut m = Self::default();
        m.errors.add(text, 1);
        m
    }

    /// The load generator was so busy that it may be what was measured.
    pub(crate) fn is_client_bound(&self) -> bool {
        self.client_share > CLIENT_BUSY_SHARE
    }

    /// The servers were kept from running, so that what was measured is who else uses the machine.
    pub(crate) fn is_starved(&self) -> bool {
        self.server_wait_share
            .is_some_and(|share| share > SERVER_STARVED_SHARE)
    }
}

fn wait_share(usage: &Usage) -> Option<f64> {
    let (ran, waited) = (usage.server_cpu_ns as f64, usage.server_wait_ns as f64);
    (ran + waited > 0.0).then(|| waited / (ran + waited))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_done_is_an_error() {
        let gauge = Gauge::default();
        let m = Measurement::new(
            0,
            &Latency::new(),
            &Usage::default(),
            &gauge,
            Errors::default(),
        );
        assert_eq!(m.errors.total, 1);
        assert!(m.per_s == 0.0 && m.server_us_per_op.is_none());
    }

    #[test]
    fn a_server_that_was_starved_seemed_to_wait_for_something() {
        let measured = |ran, waited| {
            let usage = Usage {
                seconds: 1.0,
                server_cpu_ns: ran,
                server_wait_ns: waited,
                ..Usage::default()
            };
            let gauge = Gauge::default();
            Measurement::new(1, &Latency::new(), &usage, &gauge, Errors::default())
        };
        // One row of a run of low priority beside a busy build, and one of an empty machine.
        assert!(measured(40_000_000, 2_900_000_000).is_starved());
        assert!(!measured(1_400_000_000, 600_000_000).is_starved());
        assert!(!measured(0, 0).is_starved());
    }

    #[test]
    fn error_texts_are_bounded_but_all_are_counted() {
        let mut errors = Errors::default();
        for i in 0..1000 {
            errors.note(&Outcome::Status {
                code: i,
                message: String::new(),
            });
        }
        errors.note(&Outcome::Ok);
        assert_eq!(errors.total, 1000);
        assert_eq!(errors.by_text.len(), ERROR_TEXTS_MAX + 1);
    }
}
