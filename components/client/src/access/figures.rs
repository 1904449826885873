//! Requests by what became of them.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;

use crate::metrics::Metrics;

/// Upstream's bounds, in seconds.
const BOUNDS: [f64; 12] = [
    0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0,
];

#[derive(Clone, Copy)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BOUNDS)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Done {
    code: String,
    method: String,
    host: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    verb: String,
    host: String,
}

/// Figures of all clients of one process.
#[derive(Clone)]
pub(crate) struct Figures {
    requests: Family<Done, Counter>,
    latency: Family<Asked, Histogram, Seconds>,
}

impl Figures {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let figures = Self {
            requests: Family::default(),
            latency: Family::new_with_constructor(Seconds),
        };
        metrics.register(
            "rest_client_requests",
            "requests by status code, method and host",
            figures.requests.clone(),
        );
        metrics.register(
            "rest_client_request_duration_seconds",
            "time until the head of an answer",
            figures.latency.clone(),
        );
        figures
    }

    /// `code` is `None` for a request without an answer.
    pub(crate) fn done(
        &self,
        code: Option<u16>,
        method: &http::Method,
        host: &str,
        took: Duration,
    ) {
        let done = Done {
            code: code.map_or_else(|| "<error>".to_owned(), |code| code.to_string()),
            method: method.to_string(),
            host: host.to_owned(),
        };
        self.requests.get_or_create(&done).inc();
        let asked = Asked {
            verb: method.to_string(),
            host: host.to_owned(),
        };
        let latency = self.latency.get_or_create(&asked);
        latency.observe(took.as_secs_f64());
    }
}
