//! Figures under upstream's names.

use std::time::Duration;

use mainstay_client::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::queue::Counts;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    profile: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Which {
    queue: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempts {
    attempts: String,
}

/// Attempts above this are told as this many and more.
const ATTEMPTS_TOLD: u32 = 15;

/// From 0.1 ms on: decisions here take less than upstream's first bucket of 1 ms.
#[derive(Clone, Copy)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(1e-5, 2.0, 22))
    }
}

/// How an attempt to schedule a pod ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Scheduled,
    Unschedulable,
    Error,
}

pub(super) struct Figures {
    profile: String,
    attempts: Family<Attempt, Counter>,
    durations: Family<Attempt, Histogram, Seconds>,
    deciding: Histogram,
    tries: Histogram,
    since_first: Family<Attempts, Histogram, Seconds>,
    pending: Family<Which, Gauge>,
    cached: Family<Of, Gauge>,
    under_way: Family<Operation, Gauge>,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics, profile: &str) -> Self {
        let this = Self {
            profile: profile.to_owned(),
            attempts: Family::default(),
            durations: Family::new_with_constructor(Seconds),
            deciding: Seconds.new_metric(),
            tries: Histogram::new(exponential_buckets(1.0, 2.0, 5)),
            since_first: Family::new_with_constructor(Seconds),
            pending: Family::default(),
            cached: Family::default(),
            under_way: Family::default(),
        };
        this.register(metrics);
        this
    }

    fn register(&self, metrics: &Metrics) {
        metrics.register(
            "scheduler_schedule_attempts",
            "attempts to schedule pods, by how they ended",
            self.attempts.clone(),
        );
        metrics.register(
            "scheduler_scheduling_attempt_duration_seconds",
            "time from taking a pod from the queue to its binding or failure",
            self.durations.clone(),
        );
        metrics.register(
            "scheduler_scheduling_algorithm_duration_seconds",
            "time of one decision",
            self.deciding.clone(),
        );
        metrics.register(
            "scheduler_pod_scheduling_attempts",
            "attempts it took until a pod was scheduled",
            self.tries.clone(),
        );
        metrics.register(
            "scheduler_pending_pods",
            "pods that wait, by how they wait",
            self.pending.clone(),
        );
        metrics.register(
            "scheduler_pod_scheduling_sli_duration_seconds",
            "time from the first attempt to schedule a pod to its binding",
            self.since_first.clone(),
        );
        metrics.register(
            "scheduler_cache_size",
            "nodes, and pods that are on nodes, as far as is known",
            self.cached.clone(),
        );
        metrics.register(
            "scheduler_goroutines",
            "work under way beside the decisions",
            self.under_way.clone(),
        );
    }

    pub(super) fn decided(&self, took: Duration) {
        self.deciding.observe(took.as_secs_f64());
    }

    pub(super) fn ended(&self, ended: Ended, took: Duration, tries: u32) {
        let result = match ended {
            Ended::Scheduled => "scheduled",
            Ended::Unschedulable => "unschedulable",
            Ended::Error => "error",
        };
        let attempt = Attempt {
            profile: self.profile.clone(),
            result,
        };
        self.attempts.get_or_create(&attempt).inc();
        let durations = self.durations.get_or_create(&attempt);
        durations.observe(took.as_secs_f64());
        if ended == Ended::Scheduled {
            self.tries.observe(f64::from(tries));
        }
    }

    pub(super) fn waiting(&self, counts: Counts) {
        for (queue, count) in [
            ("active", counts.active),
            ("backoff", counts.backoff),
            ("unschedulable", counts.unschedulable),
            ("gated", counts.gated),
        ] {
            let gauge = self.pending.get_or_create(&Which { queue });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// A pod is bound, this long after it was tried for the first time.
    pub(super) fn bound(&self, since_first: Duration, tries: u32) {
        let attempts = match tries {
            ATTEMPTS_TOLD.. => format!("{ATTEMPTS_TOLD}+"),
            few => few.to_string(),
        };
        let durations = self.since_first.get_or_create_owned(&Attempts { attempts });
        durations.observe(since_first.as_secs_f64());
    }

    /// What is known of the cluster, and how many bindings are being written.
    pub(super) fn known(&self, nodes: usize, pods: usize, bindings: usize) {
        let set = |gauge: &Gauge, value| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        let cached = |r#type| self.cached.get_or_create_owned(&Of { r#type });
        set(&cached("nodes"), nodes);
        set(&cached("pods"), pods);
        let binding = Operation {
            operation: "binding",
        };
        set(&self.under_way.get_or_create_owned(&binding), bindings);
    }
}
