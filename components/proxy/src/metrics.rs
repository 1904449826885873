//! Figures under upstream's names.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use mainstay_client::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use std::sync::atomic::AtomicU64;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFamily {
    ip_family: &'static str,
}

const FAMILY: ByFamily = ByFamily { ip_family: "IPv4" };

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPolicy {
    traffic_policy: &'static str,
    ip_family: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCode {
    code: u16,
}

/// 1 ms to 16 s.
#[derive(Clone, Copy, Debug)]
struct Writing;

impl MetricConstructor<Histogram> for Writing {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(0.001, 2.0, 15))
    }
}

/// A quarter of a second to five minutes.
#[derive(Clone, Copy, Debug)]
struct Programming;

impl MetricConstructor<Histogram> for Programming {
    fn new_metric(&self) -> Histogram {
        let seconds = [0.25, 0.5].into_iter();
        let seconds = seconds.chain((1..60_u32).map(f64::from));
        let seconds = seconds.chain((60..=115_u32).step_by(5).map(f64::from));
        Histogram::new(seconds.chain((120..=300_u32).step_by(30).map(f64::from)))
    }
}

type Time = Gauge<f64, AtomicU64>;

/// What the proxy counts.
#[derive(Clone, Debug)]
pub struct Figures {
    wrote: Family<ByFamily, Histogram, Writing>,
    wrote_all: Family<ByFamily, Histogram, Writing>,
    wrote_part: Family<ByFamily, Histogram, Writing>,
    programmed: Family<ByFamily, Histogram, Programming>,
    last_written: Family<ByFamily, Time>,
    last_queued: Family<ByFamily, Time>,
    endpoint_changes: Counter,
    service_changes: Counter,
    failures: Family<ByFamily, Counter>,
    cleanup_failures: Family<ByFamily, Counter>,
    no_local: Family<ByPolicy, Gauge>,
    healthz: Family<ByCode, Counter>,
    livez: Family<ByCode, Counter>,
    flows_deleted: Family<ByFamily, Counter>,
    flows_took: Family<ByFamily, Histogram, Writing>,
    /// Times that others had changed the rules; not among upstream's.
    repairs: Family<ByFamily, Counter>,
}

impl Figures {
    /// `mode` is in the names of failures, as upstream has it.
    #[must_use]
    pub fn new(metrics: &Metrics, mode: crate::Mode) -> Self {
        let figures = Self {
            wrote: Family::new_with_constructor(Writing),
            wrote_all: Family::new_with_constructor(Writing),
            wrote_part: Family::new_with_constructor(Writing),
            programmed: Family::new_with_constructor(Programming),
            last_written: Family::default(),
            last_queued: Family::default(),
            endpoint_changes: Counter::default(),
            service_changes: Counter::default(),
            failures: Family::default(),
            cleanup_failures: Family::default(),
            no_local: Family::default(),
            healthz: Family::default(),
            livez: Family::default(),
            flows_deleted: Family::default(),
            flows_took: Family::new_with_constructor(Writing),
            repairs: Family::default(),
        };
        figures.register(metrics, mode);
        figures
    }

    fn register(&self, metrics: &Metrics, mode: crate::Mode) {
        let all = "kubeproxy_sync_proxy_rules";
        let name = |rest: &str| format!("{all}_{rest}");
        metrics.register(
            &name("duration_seconds"),
            "writing rules",
            self.wrote.clone(),
        );
        let full = "kubeproxy_sync_full_proxy_rules_duration_seconds";
        metrics.register(full, "writing all rules", self.wrote_all.clone());
        let part = "kubeproxy_sync_partial_proxy_rules_duration_seconds";
        metrics.register(part, "writing rules that changed", self.wrote_part.clone());
        let programming = "kubeproxy_network_programming_duration_seconds";
        let help = "from a change of pods or services to its rules";
        metrics.register(programming, help, self.programmed.clone());
        let help = "when rules were last written";
        metrics.register(
            &name("last_timestamp_seconds"),
            help,
            self.last_written.clone(),
        );
        let help = "when a change was last seen";
        metrics.register(
            &name("last_queued_timestamp_seconds"),
            help,
            self.last_queued.clone(),
        );
        let help = "changes of endpoints";
        metrics.register(
            &name("endpoint_changes"),
            help,
            self.endpoint_changes.clone(),
        );
        let help = "changes of services";
        metrics.register(&name("service_changes"), help, self.service_changes.clone());
        let failures = match mode {
            crate::Mode::Nftables => "nftables_sync_failures",
            crate::Mode::Iptables => "iptables_restore_failures",
        };
        metrics.register(&name(failures), "rules not written", self.failures.clone());
        if mode == crate::Mode::Nftables {
            let (help, metric) = ("chains not deleted", self.cleanup_failures.clone());
            metrics.register(&name("nftables_cleanup_failures"), help, metric);
        }
        let help = "ports of services by a local policy without endpoints here";
        metrics.register(
            &name("no_local_endpoints_total"),
            help,
            self.no_local.clone(),
        );
        metrics.register("kubeproxy_proxy_healthz", "answers", self.healthz.clone());
        metrics.register("kubeproxy_proxy_livez", "answers", self.livez.clone());
        let flows = "kubeproxy_conntrack_reconciler_deleted_entries";
        let help = "UDP flows to endpoints that are gone";
        metrics.register(flows, help, self.flows_deleted.clone());
        let flows = "kubeproxy_conntrack_reconciler_sync_duration_seconds";
        metrics.register(flows, "looking for such flows", self.flows_took.clone());
        let help = "times that somebody else had changed the rules";
        metrics.register("kubeproxy_rules_repairs", help, self.repairs.clone());
    }

    pub(crate) fn service_changed(&self) {
        self.service_changes.inc();
    }

    pub(crate) fn slice_changed(&self) {
        self.endpoint_changes.inc();
    }

    pub(crate) fn queued(&self) {
        self.last_queued.get_or_create(&FAMILY).set(now());
    }

    /// Rules were written: in full or what changed.
    pub(crate) fn wrote(&self, took: Duration, in_full: bool, triggers: &[Timestamp]) {
        let seconds = took.as_secs_f64();
        self.wrote.get_or_create(&FAMILY).observe(seconds);
        let kind = if in_full {
            &self.wrote_all
        } else {
            &self.wrote_part
        };
        kind.get_or_create(&FAMILY).observe(seconds);
        self.last_written.get_or_create(&FAMILY).set(now());
        let programmed = self.programmed.get_or_create(&FAMILY);
        for trigger in triggers {
            let since = Timestamp::now().duration_since(*trigger);
            programmed.observe(since.as_secs_f64().max(0.0));
        }
    }

    pub(crate) fn failed(&self) {
        self.failures.get_or_create(&FAMILY).inc();
    }

    pub(crate) fn cleanup_failed(&self) {
        self.cleanup_failures.get_or_create(&FAMILY).inc();
    }

    pub(crate) fn repaired(&self) {
        self.repairs.get_or_create(&FAMILY).inc();
    }

    /// Ports without endpoints here, by the policies for the cluster's traffic and for others'.
    pub(crate) fn no_local(&self, internal: usize, external: usize) {
        for (traffic_policy, count) in [("internal", internal), ("external", external)] {
            let label = ByPolicy {
                traffic_policy,
                ip_family: FAMILY.ip_family,
            };
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.no_local.get_or_create(&label).set(count);
        }
    }

    pub(crate) fn answered_health(&self, is_live: bool, code: u16) {
        let pages = if is_live { &self.livez } else { &self.healthz };
        pages.get_or_create(&ByCode { code }).inc();
    }

    pub(crate) fn flows(&self, took: Duration, deleted: u64) {
        self.flows_took
            .get_or_create(&FAMILY)
            .observe(took.as_secs_f64());
        self.flows_deleted.get_or_create(&FAMILY).inc_by(deleted);
    }
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}
