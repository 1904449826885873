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
    pending: Family<Which, Gauge>,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics, profile: &str) -> Self {
        let this = Self {
            profile: profile.to_owned(),
            attempts: Family::default(),
            durations: Family::new_with_constructor(Seconds),
            deciding: Seconds.new_metric(),
            tries: Histogram::new(exponential_buckets(1.0, 2.0, 5)),
            pending: Family::default(),
        };
        metrics.register(
            "scheduler_schedule_attempts",
            "attempts to schedule pods, by how they ended",
            this.attempts.clone(),
        );
        metrics.register(
            "scheduler_scheduling_attempt_duration_seconds",
            "time from taking a pod from the queue to its binding or failure",
            this.durations.clone(),
        );
        metrics.register(
            "scheduler_scheduling_algorithm_duration_seconds",
            "time of one decision",
            this.deciding.clone(),
        );
        metrics.register(
            "scheduler_pod_scheduling_attempts",
            "attempts it took until a pod was scheduled",
            this.tries.clone(),
        );
        metrics.register(
            "scheduler_pending_pods",
            "pods that wait, by how they wait",
            this.pending.clone(),
        );
        this
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
}
