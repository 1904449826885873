//! Figures of this kubelet, under upstream's names.

use mainstay_client::metrics::Metrics;
use mainstay_client::process::ProcessFigures;
use mainstay_client::release;
use mainstay_cri::ContainerState;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::runtime::Relisted;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Node {
    node: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Release {
    git_version: String,
    platform: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    container_state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: String,
    path: &'static str,
    long_running: &'static str,
    server_type: &'static str,
}

/// From 5 ms to 10 s.
#[derive(Clone, Copy)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(0.005, 2.0, 12))
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Figures {
    pods: Gauge,
    containers: Family<State, Gauge>,
    relists: Histogram,
    requests: Family<Asked, Counter>,
    waiting: Family<Asked, Gauge>,
    durations: Family<Asked, Histogram, Seconds>,
}

impl std::fmt::Debug for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub struct Answering {
    waiting: Gauge,
    duration: Histogram,
    begun: std::time::Instant,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.waiting.dec();
        self.duration.observe(self.begun.elapsed().as_secs_f64());
    }
}

impl Figures {
    /// Adds them to those of the process.
    #[must_use]
    pub fn new(metrics: &Metrics, node: &str) -> Self {
        let figures = Self {
            pods: Gauge::default(),
            containers: Family::default(),
            relists: Seconds.new_metric(),
            requests: Family::default(),
            waiting: Family::default(),
            durations: Family::new_with_constructor(Seconds),
        };
        let name: Family<Node, Gauge> = Family::default();
        let labels = Node {
            node: node.to_owned(),
        };
        name.get_or_create(&labels).set(1);
        let build: Family<Release, Gauge> = Family::default();
        let labels = Release {
            git_version: release(),
            platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        };
        build.get_or_create(&labels).set(1);
        metrics.collect(ProcessFigures::new());
        metrics.register(
            "kubernetes_build_info",
            "the release of this program",
            build,
        );
        metrics.register("kubelet_node_name", "the name of this node", name);
        let pods = figures.pods.clone();
        metrics.register("kubelet_running_pods", "pods whose sandbox is up", pods);
        metrics.register(
            "kubelet_running_containers",
            "containers by their state",
            figures.containers.clone(),
        );
        metrics.register(
            "kubelet_pleg_relist_duration_seconds",
            "time of a look at all that runs",
            figures.relists.clone(),
        );
        metrics.register(
            "kubelet_http_requests",
            "requests to the kubelet's API",
            figures.requests.clone(),
        );
        metrics.register(
            "kubelet_http_inflight_requests",
            "requests that are being answered",
            figures.waiting.clone(),
        );
        metrics.register(
            "kubelet_http_requests_duration_seconds",
            "time until a request had its answer",
            figures.durations.clone(),
        );
        figures
    }

    /// What one look at the runtime has found, and how long it took.
    pub fn relisted(&self, found: &Relisted, seconds: f64) {
        self.relists.observe(seconds);
        self.pods.set(number(found.sandboxes_ready));
        for (state, name) in [
            (ContainerState::Created, "created"),
            (ContainerState::Running, "running"),
            (ContainerState::Exited, "exited"),
            (ContainerState::Unknown, "unknown"),
        ] {
            let count = found.containers.get(&(state as i32)).copied();
            let labels = State {
                container_state: name,
            };
            let gauge = self.containers.get_or_create(&labels);
            gauge.set(number(count.unwrap_or(0)));
        }
    }

    /// A request for what is at `path`, of which there are few.
    #[must_use]
    pub fn asked(&self, method: &str, path: &'static str, long_running: bool) -> Answering {
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"].contains(&method);
        let labels = Asked {
            method: if known { method } else { "other" }.to_owned(),
            path,
            long_running: if long_running { "true" } else { "false" },
            server_type: "readwrite",
        };
        self.requests.get_or_create(&labels).inc();
        let waiting = self.waiting.get_or_create(&labels).clone();
        waiting.inc();
        Answering {
            waiting,
            duration: self.durations.get_or_create(&labels).clone(),
            begun: std::time::Instant::now(),
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
