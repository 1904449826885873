//! Figures under the names that upstream's components give them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

/// All figures of one process.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    queues: Queues,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    name: String,
}

/// 10 ns to 10 s, as upstream's work queues have them.
#[derive(Clone, Copy)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(1e-8, 10.0, 10))
    }
}

#[derive(Clone)]
struct Queues {
    adds: Family<Name, Counter>,
    depth: Family<Name, Gauge>,
    retries: Family<Name, Counter>,
    waited: Family<Name, Histogram, Seconds>,
    worked: Family<Name, Histogram, Seconds>,
}

impl Default for Metrics {
    fn default() -> Self {
        let queues = Queues {
            adds: Family::default(),
            depth: Family::default(),
            retries: Family::default(),
            waited: Family::new_with_constructor(Seconds),
            worked: Family::new_with_constructor(Seconds),
        };
        let metrics = Self {
            registry: Arc::default(),
            queues: queues.clone(),
        };
        metrics.register("workqueue_adds", "names added", queues.adds);
        metrics.register("workqueue_depth", "names that wait", queues.depth);
        metrics.register("workqueue_retries", "names tried again", queues.retries);
        metrics.register(
            "workqueue_queue_duration_seconds",
            "time a name waits before it is worked on",
            queues.waited,
        );
        metrics.register(
            "workqueue_work_duration_seconds",
            "time a name is worked on",
            queues.worked,
        );
        metrics
    }
}

impl Metrics {
    /// Adds a figure; counters get `_total` behind their names.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.registry.lock().register(name, help, metric);
    }

    /// Adds figures that are made when somebody looks at them.
    pub fn collect(&self, collector: impl Collector) {
        self.registry.lock().register_collector(Box::new(collector));
    }

    /// The figures of one work queue.
    #[must_use]
    pub fn queue(&self, name: &str) -> QueueMetrics {
        let label = Name {
            name: name.to_owned(),
        };
        QueueMetrics {
            name: name.to_owned(),
            adds: self.queues.adds.get_or_create(&label).clone(),
            depth: self.queues.depth.get_or_create(&label).clone(),
            retries: self.queues.retries.get_or_create(&label).clone(),
            waited: self.queues.waited.get_or_create(&label).clone(),
            worked: self.queues.worked.get_or_create(&label).clone(),
        }
    }

    /// All figures in Prometheus' text form.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry.lock());
        text
    }
}

/// The figures of one work queue.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    name: String,
    adds: Counter,
    depth: Gauge,
    retries: Counter,
    waited: Histogram,
    worked: Histogram,
}

impl QueueMetrics {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn added(&self) {
        self.adds.inc();
        self.depth.inc();
    }

    pub(crate) fn retried(&self) {
        self.retries.inc();
    }

    pub(crate) fn taken(&self, waited: Duration) {
        self.depth.dec();
        self.waited.observe(waited.as_secs_f64());
    }

    pub(crate) fn worked(&self, took: Duration) {
        self.worked.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_shows_itself_under_upstreams_names() {
        let metrics = Metrics::default();
        let queue = metrics.queue("replicaset");
        queue.added();
        queue.added();
        queue.taken(Duration::from_millis(3));
        queue.retried();
        let text = metrics.text();
        for line in [
            "workqueue_adds_total{name=\"replicaset\"} 2",
            "workqueue_depth{name=\"replicaset\"} 1",
            "workqueue_retries_total{name=\"replicaset\"} 1",
            "workqueue_queue_duration_seconds_count{name=\"replicaset\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
