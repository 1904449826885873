//! Figures under the names kube-apiserver gives them, in Prometheus' text form.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;

use crate::limits::METRIC_SERIES_MAX;
use crate::request::{Info, Target};

/// Upper bounds of the buckets of request durations, in seconds: a part of upstream's.
const BUCKETS: [f64; 16] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 15.0, 60.0,
];

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<HashMap<Series, Counts>>,
    rejected_reads: AtomicU64,
    rejected_writes: AtomicU64,
    /// Watches that are being served.
    pub(crate) watches: AtomicI64,
    /// Events that were sent to them.
    pub(crate) watch_events: AtomicU64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Series {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
}

#[derive(Debug, Default)]
struct Counts {
    codes: HashMap<u16, u64>,
    buckets: [u64; BUCKETS.len()],
    seconds: f64,
    count: u64,
}

impl Metrics {
    /// Counts an answered request; the duration of a stream is that until its head was answered.
    pub(crate) fn answered(&self, info: &Info, code: StatusCode, took: Duration) {
        // What does not exist is asked for under ever new names.
        let Some(target) = info.target.as_ref().filter(|target| is_known(target)) else {
            return;
        };
        let scope = match (target.name.is_empty(), target.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        };
        let series = Series {
            verb: upper(info.verb),
            group: target.group.clone(),
            version: target.version.clone(),
            resource: target.resource.clone(),
            subresource: target.subresource.clone(),
            scope,
        };
        let mut requests = self.requests.lock();
        if requests.len() >= METRIC_SERIES_MAX && !requests.contains_key(&series) {
            return;
        }
        let counts = requests.entry(series).or_default();
        *counts.codes.entry(code.as_u16()).or_default() += 1;
        if info.is_long_running() {
            return;
        }
        let seconds = took.as_secs_f64();
        counts.count += 1;
        counts.seconds += seconds;
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            counts.buckets[bucket] += 1;
        }
    }

    /// Counts a request for which there was no room.
    pub(crate) fn rejected(&self, read_only: bool) {
        let counter = match read_only {
            true => &self.rejected_reads,
            false => &self.rejected_writes,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The page.
    pub(crate) fn page(&self) -> String {
        let mut page = String::new();
        self.write(&mut page)
            .expect("writing to a string cannot fail");
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        let requests = self.requests.lock();
        let mut all: Vec<_> = requests.iter().collect();
        all.sort_unstable_by_key(|(series, _)| *series);
        writeln!(page, "# TYPE apiserver_request_total counter")?;
        for (series, counts) in &all {
            let labels = series.labels();
            let mut codes: Vec<_> = counts.codes.iter().collect();
            codes.sort_unstable();
            for (code, count) in codes {
                writeln!(
                    page,
                    "apiserver_request_total{{{labels},code=\"{code}\"}} {count}"
                )?;
            }
        }
        let name = "apiserver_request_duration_seconds";
        writeln!(page, "# TYPE {name} histogram")?;
        for (series, counts) in all.iter().filter(|(_, counts)| counts.count > 0) {
            let labels = series.labels();
            let mut sum = 0;
            for (bound, count) in BUCKETS.iter().zip(counts.buckets) {
                sum += count;
                writeln!(page, "{name}_bucket{{{labels},le=\"{bound}\"}} {sum}")?;
            }
            writeln!(
                page,
                "{name}_bucket{{{labels},le=\"+Inf\"}} {}",
                counts.count
            )?;
            writeln!(page, "{name}_sum{{{labels}}} {}", counts.seconds)?;
            writeln!(page, "{name}_count{{{labels}}} {}", counts.count)?;
        }
        drop(all);
        let rejected = "apiserver_dropped_requests_total";
        writeln!(page, "# TYPE {rejected} counter")?;
        for (kind, count) in [
            ("readOnly", &self.rejected_reads),
            ("mutating", &self.rejected_writes),
        ] {
            let count = count.load(Ordering::Relaxed);
            writeln!(page, "{rejected}{{request_kind=\"{kind}\"}} {count}")?;
        }
        let watches = self.watches.load(Ordering::Relaxed);
        writeln!(page, "# TYPE apiserver_longrunning_requests gauge")?;
        writeln!(
            page,
            "apiserver_longrunning_requests{{verb=\"WATCH\"}} {watches}"
        )?;
        let events = self.watch_events.load(Ordering::Relaxed);
        writeln!(page, "# TYPE apiserver_watch_events_total counter")?;
        writeln!(page, "apiserver_watch_events_total {events}")
    }
}

impl Series {
    fn labels(&self) -> String {
        let escape = |text: &str| {
            text.replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', " ")
        };
        format!(
            "verb=\"{}\",group=\"{}\",version=\"{}\",resource=\"{}\",subresource=\"{}\",scope=\"{}\"",
            self.verb,
            escape(&self.group),
            escape(&self.version),
            escape(&self.resource),
            escape(&self.subresource),
            self.scope
        )
    }
}

/// Whether a target is in the table of resources.
fn is_known(target: &Target) -> bool {
    mainstay_schema::resource(&target.group, &target.version, &target.resource).is_some_and(
        |resource| {
            target.subresource.is_empty() || resource.subresource(&target.subresource).is_some()
        },
    )
}

fn upper(verb: &'static str) -> &'static str {
    match verb {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" => "POST",
        "update" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    #[test]
    fn only_resources_of_the_table_are_counted() {
        let metrics = Metrics::default();
        let count = |path: &str| {
            let info = Info::new(&Method::GET, path, false).unwrap();
            metrics.answered(&info, StatusCode::OK, Duration::from_millis(1));
            metrics.requests.lock().len()
        };
        assert_eq!(count("/api/v1/pods"), 1);
        assert_eq!(count("/api/v1/namespaces/a/pods/b/status"), 2);
        // Whoever asks for ever new names must not fill the table.
        for path in [
            "/api/v1/gnomes",
            "/api/v2/pods",
            "/apis/example.com/v1/pods",
            "/api/v1/namespaces/a/pods/b/gnome",
            "/healthz",
        ] {
            assert_eq!(count(path), 2, "{path}");
        }
    }
}
