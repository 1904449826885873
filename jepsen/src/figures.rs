//! Figures of a run, computed from its history.

use crate::tower::Reign;
use hdrhistogram::Histogram;
use mainstay_check::History;
use mainstay_check::history::{Op, Operation, Outcome, WatchNews};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Latencies are kept up to here, in microseconds; slower ones count as this.
const LATENCY_US_MAX: u64 = 120_000_000;
/// Times without any acknowledged write shorter than this are no gap, nanoseconds.
const GAP_NS_MIN: u64 = 250_000_000;
/// How near to a fault a gap must begin to be its consequence, nanoseconds: a fault is recorded just before it acts.
const NEAR_NS: u64 = 300_000_000;
/// Different texts of errors that are counted, and how much of a text tells them apart.
const ERRORS_MAX: usize = 60;
const ERROR_CHARS_MAX: usize = 120;
/// Gaps kept, the longest first.
const GAPS_MAX: usize = 50;

/// Figures of one kind of operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KindFigures {
    /// Operations that succeeded.
    pub ok: u64,
    /// Operations that certainly had no effect.
    pub fail: u64,
    /// Operations whose outcome nobody knows.
    pub unknown: u64,
    /// Median latency of the successful ones, milliseconds.
    pub p50_ms: f64,
    /// 99th percentile, milliseconds.
    pub p99_ms: f64,
    /// The slowest, milliseconds.
    pub max_ms: f64,
}

/// A time in which no write was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Nanoseconds since the start of the run.
    pub from: u64,
    /// Its length, nanoseconds.
    pub length: u64,
}

/// Figures of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Operations in all.
    pub operations: u64,
    /// Successful operations per second, over the whole run.
    pub rate: f64,
    /// By kind; reads are told apart by linearizable, serializable and old.
    pub kinds: BTreeMap<String, KindFigures>,
    /// Failures by class of error.
    pub errors: BTreeMap<String, u64>,
    /// Events received by watchers.
    pub watch_events: u64,
    /// Watches opened.
    pub watches: u64,
    /// Faults with proof, by name.
    pub faults: BTreeMap<String, u64>,
    /// Changes of leader.
    pub leader_changes: u64,
    /// The longest gaps.
    pub gaps: Vec<Gap>,
    /// The revision at the end.
    pub revision: i64,
}

/// What an operation is called in figures.
pub fn kind_name(op: &Op) -> &'static str {
    match op {
        Op::Range(op) if op.revision > 0 => "range-old",
        Op::Range(op) if op.serializable => "range-serializable",
        Op::Range(_) => "range",
        Op::Put(_) => "put",
        Op::Delete(_) => "delete",
        Op::Txn(_) => "txn",
        Op::Compact { .. } => "compact",
        Op::LeaseGrant(_) => "lease-grant",
        Op::LeaseRevoke { .. } => "lease-revoke",
        Op::LeaseKeepAlive { .. } => "lease-keepalive",
        Op::LeaseTtl { .. } => "lease-ttl",
        Op::HashKv { .. } => "hash-kv",
    }
}

impl Figures {
    /// From a history and what the tower saw. Rate and gaps are those of the time until `load_end`.
    pub fn of(history: &History, reigns: &[Reign], load_end: u64) -> Self {
        let mut figures = Self {
            leader_changes: reigns.len().saturating_sub(1) as u64,
            ..Self::default()
        };
        let mut latencies: BTreeMap<&str, Histogram<u64>> = BTreeMap::new();
        for operation in &history.operations {
            figures.count(operation, &mut latencies);
        }
        for (name, latencies) in latencies {
            let kind = figures.kinds.entry(name.to_owned()).or_default();
            let ms = |us: u64| us as f64 / 1_000.0;
            kind.p50_ms = ms(latencies.value_at_quantile(0.5));
            kind.p99_ms = ms(latencies.value_at_quantile(0.99));
            kind.max_ms = ms(latencies.max());
        }
        figures.count_watches(history);
        for fault in history.faults.iter().filter(|fault| fault.proof.is_some()) {
            *figures.faults.entry(fault.name.clone()).or_default() += 1;
        }
        let under_load = |o: &&Operation| o.outcome == Outcome::Ok && o.call < load_end;
        let ok = history.operations.iter().filter(under_load).count();
        figures.rate = if load_end == 0 {
            0.0
        } else {
            ok as f64 / (load_end as f64 / 1e9)
        };
        figures.gaps = gaps(history, load_end);
        figures
    }

    fn count(&mut self, operation: &Operation, latencies: &mut BTreeMap<&str, Histogram<u64>>) {
        let name = kind_name(&operation.op);
        self.operations += 1;
        let kind = self.kinds.entry(name.to_owned()).or_default();
        match operation.outcome {
            Outcome::Ok => {
                kind.ok += 1;
                let took = operation
                    .returned
                    .unwrap_or(operation.call)
                    .saturating_sub(operation.call);
                let histogram = latencies.entry(name).or_insert_with(|| {
                    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
                        .expect("the bounds are in order")
                });
                histogram.saturating_record((took / 1_000).max(1));
            }
            Outcome::Fail => kind.fail += 1,
            Outcome::Unknown => kind.unknown += 1,
        }
        if let Some(result) = &operation.result {
            self.revision = self.revision.max(result.revision);
        }
        if let Some(error) = &operation.error {
            let text: String = error.text.chars().take(ERROR_CHARS_MAX).collect();
            if self.errors.len() < ERRORS_MAX || self.errors.contains_key(&text) {
                *self.errors.entry(text).or_default() += 1;
            }
        }
    }

    fn count_watches(&mut self, history: &History) {
        for record in &history.watches {
            match &record.news {
                WatchNews::Created => self.watches += 1,
                WatchNews::Events(events) => self.watch_events += events.len() as u64,
                WatchNews::Progress | WatchNews::Canceled { .. } => {}
            }
        }
    }

    /// Operations whose outcome nobody knows.
    pub fn unknown(&self) -> u64 {
        self.kinds.values().map(|kind| kind.unknown).sum()
    }

    /// The longest time without an acknowledged write, milliseconds.
    pub fn longest_gap_ms(&self) -> f64 {
        self.gaps.first().map_or(0.0, |gap| gap.length as f64 / 1e6)
    }
}

/// Whether the operation, when it succeeds, went through consensus.
pub fn is_write(op: &Op) -> bool {
    match op {
        Op::Put(_) | Op::Delete(_) | Op::LeaseGrant(_) => true,
        Op::Txn(txn) => txn.then.iter().chain(&txn.otherwise).any(is_write),
        _ => false,
    }
}

/// Times between two acknowledged writes, the longest first.
fn gaps(history: &History, load_end: u64) -> Vec<Gap> {
    let acknowledged = history
        .operations
        .iter()
        .filter(|o| o.outcome == Outcome::Ok && is_write(&o.op));
    let mut times: Vec<u64> = acknowledged
        .filter_map(|operation| operation.returned)
        .collect();
    times.retain(|time| *time <= load_end);
    times.sort_unstable();
    let pairs = times.windows(2).map(|pair| Gap {
        from: pair[0],
        length: pair[1] - pair[0],
    });
    let mut gaps: Vec<Gap> = pairs.filter(|gap| gap.length >= GAP_NS_MIN).collect();
    gaps.sort_by_key(|gap| std::cmp::Reverse(gap.length));
    gaps.truncate(GAPS_MAX);
    gaps
}

/// For every proven fault of this name: the longest time without an acknowledged write that began at about the time of
/// the fault, nanoseconds.
pub fn gaps_after(history: &History, fault: &str) -> Vec<u64> {
    let acknowledged = history
        .operations
        .iter()
        .filter(|o| o.outcome == Outcome::Ok && is_write(&o.op));
    let mut times: Vec<u64> = acknowledged
        .filter_map(|operation| operation.returned)
        .collect();
    times.sort_unstable();
    let faults = history
        .faults
        .iter()
        .filter(|f| f.name == fault && f.proof.is_some());
    let gap = |start: u64| {
        let near = start.saturating_sub(NEAR_NS)..start + NEAR_NS;
        let gaps = times
            .windows(2)
            .filter(|pair| near.contains(&pair[0]) || (pair[0]..pair[1]).contains(&start));
        gaps.map(|pair| pair[1] - pair[0]).max()
    };
    faults.filter_map(|fault| gap(fault.start)).collect()
}

#[cfg(test)]
mod tests {
    use super::Figures;
    use mainstay_check::history::{Answer, Op, OpResult, Operation, Outcome, PutOp, Record};

    fn put(id: u64, call_ms: u64, returned_ms: u64) -> Record {
        Record::Operation(Operation {
            client: 0,
            member: 0,
            id,
            op: Op::Put(PutOp::default()),
            call: call_ms * 1_000_000,
            returned: Some(returned_ms * 1_000_000),
            outcome: Outcome::Ok,
            result: Some(OpResult {
                revision: 2,
                answer: Answer::Put { prev_kv: None },
            }),
            error: None,
        })
    }

    #[test]
    fn gaps_and_latencies_come_from_acknowledged_writes() {
        let history = [
            put(0, 0, 10),
            put(1, 20, 30),
            put(2, 100, 1_030),
            put(3, 1_031, 1_040),
        ];
        let figures = Figures::of(&history.into_iter().collect(), &[], 2_000_000_000);
        assert_eq!(figures.operations, 4);
        assert_eq!(figures.gaps.len(), 1);
        assert_eq!(
            (figures.gaps[0].from, figures.gaps[0].length),
            (30_000_000, 1_000_000_000)
        );
        let puts = &figures.kinds["put"];
        assert!(
            puts.p50_ms >= 9.0 && puts.p50_ms < 11.0 && puts.max_ms > 900.0,
            "{puts:?}"
        );
    }
}
