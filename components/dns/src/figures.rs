//! Figures under CoreDNS' names.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use mainstay_client::metrics::Metrics;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::cache::Half;
use crate::wire;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    server: &'static str,
    zone: &'static str,
    view: &'static str,
    proto: &'static str,
    family: &'static str,
    r#type: Type,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Took {
    server: &'static str,
    zone: &'static str,
    view: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Size {
    server: &'static str,
    zone: &'static str,
    view: &'static str,
    proto: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    server: &'static str,
    zone: &'static str,
    view: &'static str,
    rcode: Code,
    plugin: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cached {
    server: &'static str,
    r#type: &'static str,
    zones: &'static str,
    view: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Misses {
    server: &'static str,
    zones: &'static str,
    view: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Exchange {
    proxy_name: &'static str,
    to: String,
    rcode: Code,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Check {
    proxy_name: &'static str,
    to: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
    goversion: &'static str,
    revision: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Type(Option<wire::Type>);

impl EncodeLabelValue for Type {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self.0 {
            Some(kind) => write!(encoder, "{kind}"),
            None => encoder.write_str("other"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Code(wire::Code);

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(encoder, "{}", self.0)
    }
}

/// From 0.25 ms on, doubled: CoreDNS'. Local answers take less than its first bucket.
#[derive(Clone, Copy)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
    }
}

/// CoreDNS' sizes.
#[derive(Clone, Copy)]
struct Bytes;

impl MetricConstructor<Histogram> for Bytes {
    fn new_metric(&self) -> Histogram {
        let bounds = [
            0.0, 100.0, 200.0, 300.0, 400.0, 511.0, 1023.0, 2047.0, 4095.0, 8291.0, 16e3, 32e3,
            48e3, 64e3,
        ];
        Histogram::new(bounds)
    }
}

const SERVER: &str = "dns://:53";
/// There is one server block for all names, as in CoreDNS' usual configuration; `plugin` tells who answered.
const ZONE: &str = ".";

/// What is counted of questions and answers.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    asked: Family<Asked, Counter>,
    took: Family<Took, Histogram, Seconds>,
    request_size: Family<Size, Histogram, Bytes>,
    response_size: Family<Size, Histogram, Bytes>,
    answered: Family<Answered, Counter>,
    cache_hits: Family<Cached, Counter>,
    cache_entries: Family<Cached, Gauge>,
    cache_evictions: Family<Cached, Counter>,
    cache_misses: Family<Misses, Counter>,
    cache_requests: Family<Misses, Counter>,
}

impl fmt::Debug for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seconds")
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bytes")
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            asked: Family::default(),
            took: Family::new_with_constructor(Seconds),
            request_size: Family::new_with_constructor(Bytes),
            response_size: Family::new_with_constructor(Bytes),
            answered: Family::default(),
            cache_hits: Family::default(),
            cache_entries: Family::default(),
            cache_evictions: Family::default(),
            cache_misses: Family::default(),
            cache_requests: Family::default(),
        }
    }
}

/// One question that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub(crate) transport: Transport,
    pub(crate) client: SocketAddr,
    /// None where the question could not be read.
    pub(crate) kind: Option<wire::Type>,
    /// Bytes of question and answer.
    pub(crate) asked: usize,
    pub(crate) answered: usize,
    pub(crate) code: wire::Code,
    /// Who answered, by the names of CoreDNS' plugins.
    pub(crate) by: &'static str,
    pub(crate) took: Duration,
}

impl Figures {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let this = Self::default();
        this.register(metrics);
        let build = Family::<Build, Gauge>::default();
        let own = build.get_or_create_owned(&Build {
            version: env!("CARGO_PKG_VERSION"),
            goversion: "",
            revision: option_env!("MAINSTAY_COMMIT").unwrap_or(""),
        });
        own.set(1);
        metrics.register("coredns_build_info", "what was built", build);
        this
    }

    fn register(&self, metrics: &Metrics) {
        let add = |name: &str, help: &str, counter: Family<Asked, Counter>| {
            metrics.register(name, help, counter);
        };
        add("coredns_dns_requests", "questions", self.asked.clone());
        metrics.register(
            "coredns_dns_request_duration_seconds",
            "time from a question to its answer",
            self.took.clone(),
        );
        metrics.register(
            "coredns_dns_request_size_bytes",
            "sizes of questions",
            self.request_size.clone(),
        );
        metrics.register(
            "coredns_dns_response_size_bytes",
            "sizes of answers",
            self.response_size.clone(),
        );
        metrics.register(
            "coredns_dns_responses",
            "answers, by their code",
            self.answered.clone(),
        );
        metrics.register(
            "coredns_cache_hits",
            "answers from the cache",
            self.cache_hits.clone(),
        );
        metrics.register(
            "coredns_cache_entries",
            "answers in the cache",
            self.cache_entries.clone(),
        );
        metrics.register(
            "coredns_cache_evictions",
            "answers that had to go from the cache before their time",
            self.cache_evictions.clone(),
        );
        metrics.register(
            "coredns_cache_misses",
            "answers that the cache did not have",
            self.cache_misses.clone(),
        );
        metrics.register(
            "coredns_cache_requests",
            "questions to the cache",
            self.cache_requests.clone(),
        );
    }

    pub(crate) fn served(&self, served: &Served) {
        let proto = served.transport.name();
        let family = match served.client.ip().to_canonical().is_ipv4() {
            true => "1",
            false => "2",
        };
        let asked = Asked {
            server: SERVER,
            zone: ZONE,
            view: "",
            proto,
            family,
            r#type: Type(served.kind.filter(|kind| kind.is_told())),
        };
        self.asked.get_or_create(&asked).inc();
        let took = Took {
            server: SERVER,
            zone: ZONE,
            view: "",
        };
        let took = self.took.get_or_create(&took);
        took.observe(served.took.as_secs_f64());
        let size = Size {
            server: SERVER,
            zone: ZONE,
            view: "",
            proto,
        };
        #[expect(clippy::cast_precision_loss, reason = "messages have at most 64 KiB")]
        let bytes = |count: usize| count as f64;
        let sizes = self.request_size.get_or_create(&size);
        sizes.observe(bytes(served.asked));
        let sizes = self.response_size.get_or_create(&size);
        sizes.observe(bytes(served.answered));
        let answered = Answered {
            server: SERVER,
            zone: ZONE,
            view: "",
            rcode: Code(served.code),
            plugin: served.by,
        };
        self.answered.get_or_create(&answered).inc();
    }

    pub(crate) fn cache_hit(&self, half: Half) {
        self.cache_requests.get_or_create(&MISSES).inc();
        self.cache_hits.get_or_create(&cached(half)).inc();
    }

    pub(crate) fn cache_missed(&self) {
        self.cache_requests.get_or_create(&MISSES).inc();
        self.cache_misses.get_or_create(&MISSES).inc();
    }

    pub(crate) fn cache_evicted(&self, half: Half) {
        self.cache_evictions.get_or_create(&cached(half)).inc();
    }

    pub(crate) fn cache_has(&self, half: Half, entries: usize) {
        let entries = i64::try_from(entries).unwrap_or(i64::MAX);
        self.cache_entries.get_or_create(&cached(half)).set(entries);
    }
}

const MISSES: Misses = Misses {
    server: SERVER,
    zones: ".",
    view: "",
};

fn cached(half: Half) -> Cached {
    Cached {
        server: SERVER,
        r#type: match half {
            Half::Success => "success",
            Half::Denial => "denial",
        },
        zones: ".",
        view: "",
    }
}

/// What is counted of questions to other servers.
#[derive(Clone, Debug)]
pub(crate) struct ForwardFigures {
    took: Family<Exchange, Histogram, Seconds>,
    checks_failed: Family<Check, Counter>,
    checks_broken: Counter,
    rejected: Counter,
}

impl Default for ForwardFigures {
    fn default() -> Self {
        Self {
            took: Family::new_with_constructor(Seconds),
            checks_failed: Family::default(),
            checks_broken: Counter::default(),
            rejected: Counter::default(),
        }
    }
}

impl ForwardFigures {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let this = Self::default();
        metrics.register(
            "coredns_proxy_request_duration_seconds",
            "time other servers took to answer",
            this.took.clone(),
        );
        metrics.register(
            "coredns_proxy_healthcheck_failures",
            "checks that other servers did not answer",
            this.checks_failed.clone(),
        );
        metrics.register(
            "coredns_forward_healthcheck_broken",
            "questions for which no other server was healthy",
            this.checks_broken.clone(),
        );
        metrics.register(
            "coredns_forward_max_concurrent_rejects",
            "questions refused because too many were under way",
            this.rejected.clone(),
        );
        this
    }

    pub(crate) fn answered(&self, to: SocketAddr, code: wire::Code, took: Duration) {
        let exchange = Exchange {
            proxy_name: "forward",
            to: to.to_string(),
            rcode: Code(code),
        };
        let took_by = self.took.get_or_create_owned(&exchange);
        took_by.observe(took.as_secs_f64());
    }

    pub(crate) fn check_failed(&self, to: SocketAddr) {
        let check = Check {
            proxy_name: "forward",
            to: to.to_string(),
        };
        self.checks_failed.get_or_create(&check).inc();
    }

    pub(crate) fn checks_broken(&self) {
        self.checks_broken.inc();
    }

    pub(crate) fn rejected(&self) {
        self.rejected.inc();
    }
}
