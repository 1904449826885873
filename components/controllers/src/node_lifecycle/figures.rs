//! What this controller measures, under upstream's names.

use std::collections::BTreeMap;

use mainstay_client::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::zones::Count;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Zone {
    zone: String,
}

#[derive(Clone, Debug)]
pub(super) struct Figures {
    size: Family<Zone, Gauge>,
    health: Family<Zone, Gauge>,
    unhealthy: Family<Zone, Gauge>,
    evictions: Family<Zone, Counter>,
    /// Seconds of one look at all nodes.
    pub(super) round: Histogram,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let figures = Self {
            size: Family::default(),
            health: Family::default(),
            unhealthy: Family::default(),
            evictions: Family::default(),
            round: Histogram::new(exponential_buckets(0.01, 4.0, 8)),
        };
        metrics.register(
            "node_collector_zone_size",
            "nodes of a zone",
            figures.size.clone(),
        );
        metrics.register(
            "node_collector_zone_health",
            "share of healthy nodes of a zone, in percent",
            figures.health.clone(),
        );
        metrics.register(
            "node_collector_unhealthy_nodes_in_zone",
            "nodes of a zone that are not ready",
            figures.unhealthy.clone(),
        );
        metrics.register(
            "node_collector_evictions",
            "nodes that were tainted so that their pods are evicted",
            figures.evictions.clone(),
        );
        metrics.register(
            "node_collector_update_all_nodes_health_duration_seconds",
            "time of one look at all nodes",
            figures.round.clone(),
        );
        figures
    }

    pub(super) fn zones(&self, counts: &BTreeMap<String, Count>) {
        // Zones that are no more are shown no more.
        for family in [&self.size, &self.health, &self.unhealthy] {
            family.clear();
        }
        for (zone, count) in counts {
            let (ready, not_ready) = (count.ready, count.not_ready);
            let set = |family: &Family<Zone, Gauge>, value: usize| {
                let gauge = family.get_or_create(&label(zone));
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            };
            set(&self.size, ready + not_ready);
            set(&self.health, 100 * ready / (ready + not_ready).max(1));
            set(&self.unhealthy, not_ready);
        }
    }

    pub(super) fn tainted(&self, zone: &str) {
        self.evictions.get_or_create(&label(zone)).inc();
    }
}

fn label(zone: &str) -> Zone {
    Zone {
        // As upstream shows it; text has no zeros.
        zone: zone.replace('\0', ""),
    }
}
