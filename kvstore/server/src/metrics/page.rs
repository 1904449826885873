//! The `/metrics` page: etcd's names for everything this server can say truthfully.

use super::process;
use super::{HANDLING_BOUNDS, ThreadCounters};
use crate::grpc::Code;
use crate::route::{Flow, Route};
use crate::service::Shared;
use crate::version;
use mainstay_proto::etcdserverpb::AlarmType;
use mainstay_raft::repair::{History, Kind};
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Builds the text format.
#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        if !labels.is_empty() {
            self.0.push('{');
            for (index, (label, text)) in labels.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let text = text
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                let _ = write!(self.0, "{comma}{label}=\"{text}\"");
            }
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }
}

/// The whole page.
pub(crate) fn render(shared: &Shared) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    server(&mut page, shared);
    store(&mut page, shared);
    disk(&mut page, shared);
    network(&mut page, shared);
    calls(&mut page, shared);
    scrubs(&mut page, shared);
    page.0.push_str(&repairs(&shared.history(), false));
    process::render(&mut page.0);
    page.0
}

/// What was found damaged and repaired, over all lives of the data directory.
pub(crate) fn repairs(history: &History, repairing: bool) -> String {
    let mut page = Page::default();
    page.gauge(
        "mainstay_repairing",
        "Whether this member serves nothing because its data is being repaired.",
        u8::from(repairing),
    );
    page.family(
        "mainstay_corruptions_found_total",
        "counter",
        "Damage found in this member's data, by kind.",
    );
    for kind in Kind::ALL {
        let count = history.found.get(&kind).copied().unwrap_or(0);
        let name = "mainstay_corruptions_found_total";
        page.sample(name, &[("kind", kind.name())], count);
    }
    page.counter(
        "mainstay_repairs_total",
        "Times this member began anew with data from its peers.",
        history.repairs,
    );
    page.counter(
        "mainstay_rebuilt_files_total",
        "Damaged files that were made again from what else is known.",
        history.rebuilt,
    );
    page.0
}

fn scrubs(page: &mut Page, shared: &Shared) {
    let metrics = shared.node.metrics();
    page.counter(
        "mainstay_comparisons_total",
        "Comparisons of all members' data made as leader.",
        metrics.comparisons.load(Relaxed),
    );
    page.counter(
        "mainstay_scrubs_total",
        "Times everything on disk was read and found whole.",
        metrics.scrubs.load(Relaxed),
    );
    page.counter(
        "mainstay_scrubbed_bytes_total",
        "Bytes read while looking for damage.",
        metrics.scrubbed_bytes.load(Relaxed),
    );
    page.counter(
        "mainstay_snapshots_refused_total",
        "Snapshots from peers that were damaged and not installed.",
        metrics.snapshots_refused.load(Relaxed),
    );
}

fn server(page: &mut Page, shared: &Shared) {
    let node = &shared.node;
    let status = node.status();
    let metrics = node.metrics();
    let load = |counter: &AtomicU64| counter.load(Relaxed);
    let has_leader = status.leader != 0;
    let is_leader = status.leader == shared.member_id;
    page.gauge(
        "etcd_server_has_leader",
        "Whether or not a leader exists. 1 is existence, 0 is not.",
        u8::from(has_leader),
    );
    page.gauge(
        "etcd_server_is_leader",
        "Whether or not this member is a leader. 1 if is, 0 otherwise.",
        u8::from(is_leader),
    );
    page.gauge(
        "etcd_server_is_learner",
        "Whether or not this member is a learner. 1 if is, 0 otherwise.",
        u8::from(status.is_learner),
    );
    page.gauge(
        "mainstay_votes",
        "Whether this member's vote counts: one that was just added or repaired must catch up first.",
        u8::from(status.votes),
    );
    page.counter(
        "etcd_server_leader_changes_seen_total",
        "The number of leader changes seen.",
        load(&metrics.leader_changes),
    );
    page.gauge(
        "etcd_server_proposals_committed_total",
        "The total number of consensus proposals committed.",
        status.committed_index,
    );
    page.gauge(
        "etcd_server_proposals_applied_total",
        "The total number of consensus proposals applied.",
        status.applied_index,
    );
    page.gauge(
        "etcd_server_proposals_pending",
        "The current number of pending proposals to commit.",
        status.pending_proposals,
    );
    page.counter(
        "etcd_server_proposals_failed_total",
        "The total number of failed proposals seen.",
        load(&metrics.proposals_failed),
    );
    page.counter(
        "etcd_server_read_indexes_failed_total",
        "The total number of failed read indexes seen.",
        load(&metrics.read_indexes_failed),
    );
    page.counter(
        "etcd_server_heartbeat_send_failures_total",
        "The total number of leader heartbeat send failures.",
        load(&metrics.heartbeat_failures),
    );
    page.gauge(
        "etcd_server_quota_backend_bytes",
        "Current backend storage quota size in bytes.",
        status.quota,
    );
    page.counter(
        "etcd_server_health_success",
        "The total number of successful health checks",
        load(&shared.counters.health_success),
    );
    page.counter(
        "etcd_server_health_failures",
        "The total number of failed health checks",
        load(&shared.counters.health_failures),
    );
    page.family(
        "etcd_server_version",
        "gauge",
        "Which version is running. 1 for 'server_version' label with current version.",
    );
    page.sample(
        "etcd_server_version",
        &[("server_version", version::SERVER)],
        1,
    );
    page.family(
        "etcd_cluster_version",
        "gauge",
        "Which version is running. 1 for 'cluster_version' label with current cluster version",
    );
    page.sample(
        "etcd_cluster_version",
        &[("cluster_version", version::CLUSTER.trim_end_matches(".0"))],
        1,
    );
    page.family(
        "etcd_server_id",
        "gauge",
        "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
    );
    page.sample(
        "etcd_server_id",
        &[("server_id", &format!("{:x}", shared.member_id))],
        1,
    );
    page.counter(
        "etcd_debugging_lease_granted_total",
        "The total number of granted leases.",
        load(&metrics.leases_granted),
    );
    page.counter(
        "etcd_debugging_lease_revoked_total",
        "The total number of revoked leases.",
        load(&metrics.leases_revoked),
    );
    page.counter(
        "etcd_debugging_lease_renewed_total",
        "The number of renewed leases seen by the leader.",
        load(&metrics.leases_renewed),
    );
    page.counter(
        "etcd_debugging_server_lease_expired_total",
        "The total number of expired leases.",
        load(&metrics.leases_expired),
    );
    alarms(page, shared);
    api_requests(page, shared);
}

fn alarms(page: &mut Page, shared: &Shared) {
    let name = "etcd_debugging_server_alarms";
    page.family(
        name,
        "gauge",
        "Alarms for every member in cluster. 1 for 'server_id' label with current ID. 2 for 'alarm_type' label with type of this alarm",
    );
    for alarm in shared.node.alarms() {
        let kind = AlarmType::try_from(alarm.alarm).unwrap_or_default();
        let id = format!("{:x}", alarm.member_id);
        let labels = [("alarm_type", kind.as_str_name()), ("server_id", &id)];
        page.sample(name, &labels, 1);
    }
}

fn api_requests(page: &mut Page, shared: &Shared) {
    let mut requests: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for thread in &shared.counters.threads {
        for api in thread.api.lock().iter() {
            *requests.entry((api.kind, api.version.clone())).or_default() += api.count;
        }
    }
    let name = "etcd_server_client_requests_total";
    page.family(
        name,
        "counter",
        "The total number of client requests per client version.",
    );
    for ((kind, version), count) in &requests {
        page.sample(
            name,
            &[("client_api_version", version), ("type", kind)],
            count,
        );
    }
}

fn store(page: &mut Page, shared: &Shared) {
    let reader = shared.node.reader();
    let status = shared.node.status();
    page.gauge(
        "etcd_mvcc_db_total_size_in_bytes",
        "Total size of the underlying database physically allocated in bytes.",
        status.db_size,
    );
    page.gauge(
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "Total size of the underlying database logically in use in bytes.",
        status.db_in_use,
    );
    page.gauge(
        "etcd_debugging_mvcc_current_revision",
        "The current revision of store.",
        reader.revision(),
    );
    page.gauge(
        "etcd_debugging_mvcc_compact_revision",
        "The revision of the last compaction in store.",
        reader.compacted(),
    );
    let handled = |route: Route| {
        let ok = |thread: &std::sync::Arc<ThreadCounters>| {
            thread.routes[route.index()].handled[Code::Ok as usize].get()
        };
        shared.counters.threads.iter().map(ok).sum::<u64>()
    };
    page.counter(
        "etcd_mvcc_put_total",
        "Total number of puts seen by this member.",
        handled(Route::Put),
    );
    page.counter(
        "etcd_mvcc_range_total",
        "Total number of ranges seen by this member.",
        handled(Route::Range),
    );
    page.counter(
        "etcd_mvcc_txn_total",
        "Total number of txns seen by this member.",
        handled(Route::Txn),
    );
    page.counter(
        "etcd_mvcc_delete_total",
        "Total number of deletes seen by this member.",
        handled(Route::DeleteRange),
    );
    let sum = |counter: fn(&ThreadCounters) -> u64| {
        shared
            .counters
            .threads
            .iter()
            .map(|thread| counter(thread))
            .sum::<u64>()
    };
    page.gauge(
        "etcd_debugging_mvcc_watch_stream_total",
        "Total number of watch streams.",
        sum(|t| t.watch_streams.get()),
    );
    page.gauge(
        "etcd_debugging_mvcc_watcher_total",
        "Total number of watchers.",
        sum(|t| t.watchers.get()),
    );
}

fn disk(page: &mut Page, shared: &Shared) {
    let stats = shared.node.wal().stats();
    let name = "etcd_disk_wal_fsync_duration_seconds";
    page.family(
        name,
        "histogram",
        "The latency distributions of fsync called by WAL.",
    );
    let bucket = format!("{name}_bucket");
    let mut total = 0;
    let mut bound = 0.001;
    for count in stats.sync_buckets {
        total += count;
        page.sample(&bucket, &[("le", &bound.to_string())], total);
        bound *= 2.0;
    }
    page.sample(&bucket, &[("le", "+Inf")], stats.syncs);
    page.sample(&format!("{name}_sum"), &[], stats.sync_time.as_secs_f64());
    page.sample(&format!("{name}_count"), &[], stats.syncs);
    page.gauge(
        "etcd_disk_wal_write_bytes_total",
        "Total number of bytes written in WAL.",
        stats.bytes,
    );
}

fn network(page: &mut Page, shared: &Shared) {
    let threads = &shared.counters.threads;
    let received: u64 = threads.iter().map(|t| t.received_bytes.get()).sum();
    let sent: u64 = threads.iter().map(|t| t.sent_bytes.get()).sum();
    page.counter(
        "etcd_network_client_grpc_received_bytes_total",
        "The total number of bytes received from grpc clients.",
        received,
    );
    page.counter(
        "etcd_network_client_grpc_sent_bytes_total",
        "The total number of bytes sent to grpc clients.",
        sent,
    );
    let metrics = shared.node.metrics();
    page.counter(
        "etcd_network_peer_received_bytes_total",
        "The total number of bytes received from peers.",
        metrics.peer_received_bytes.load(Relaxed),
    );
    page.counter(
        "etcd_network_peer_sent_bytes_total",
        "The total number of bytes sent to peers.",
        metrics.peer_sent_bytes.load(Relaxed),
    );
}

fn calls(page: &mut Page, shared: &Shared) {
    let threads = &shared.counters.threads;
    let sum = |pick: &dyn Fn(&ThreadCounters) -> u64| threads.iter().map(|t| pick(t)).sum::<u64>();
    let each =
        |page: &mut Page, name: &str, help: &str, pick: &dyn Fn(&ThreadCounters, Route) -> u64| {
            page.family(name, "counter", help);
            for route in Route::ALL {
                let value = sum(&|thread| pick(thread, *route));
                page.sample(name, &labels(*route), value);
            }
        };
    each(
        page,
        "grpc_server_started_total",
        "Total number of RPCs started on the server.",
        &|t, r| t.routes[r.index()].started.get(),
    );
    each(
        page,
        "grpc_server_msg_received_total",
        "Total number of RPC stream messages received on the server.",
        &|t, r| t.routes[r.index()].received.get(),
    );
    each(
        page,
        "grpc_server_msg_sent_total",
        "Total number of gRPC stream messages sent by the server.",
        &|t, r| t.routes[r.index()].sent.get(),
    );
    let name = "grpc_server_handled_total";
    page.family(
        name,
        "counter",
        "Total number of RPCs completed on the server, regardless of success or failure.",
    );
    for route in Route::ALL {
        for code in Code::all() {
            let value = sum(&|t| t.routes[route.index()].handled[code as usize].get());
            if value > 0 || code == Code::Ok {
                let [kind, method, service] = labels(*route);
                page.sample(
                    name,
                    &[("grpc_code", code.name()), method, service, kind],
                    value,
                );
            }
        }
    }
    if shared.options.extensive_metrics {
        handling(page, shared);
    }
}

fn labels(route: Route) -> [(&'static str, &'static str); 3] {
    let kind = match route.flow() {
        Flow::Unary => "unary",
        Flow::ServerStream => "server_stream",
        Flow::Bidi => "bidi_stream",
    };
    [
        ("grpc_type", kind),
        ("grpc_method", route.method()),
        ("grpc_service", route.service()),
    ]
}

fn handling(page: &mut Page, shared: &Shared) {
    let name = "grpc_server_handling_seconds";
    page.family(name, "histogram", "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.");
    let bucket = format!("{name}_bucket");
    for route in Route::ALL {
        let counts = |at: usize| {
            let of =
                |t: &std::sync::Arc<ThreadCounters>| t.routes[route.index()].handling[at].get();
            shared.counters.threads.iter().map(of).sum::<u64>()
        };
        let [kind, method, service] = labels(*route);
        let mut total = 0;
        for (at, bound) in HANDLING_BOUNDS.iter().enumerate() {
            total += counts(at);
            page.sample(
                &bucket,
                &[method, service, kind, ("le", &bound.to_string())],
                total,
            );
        }
        total += counts(HANDLING_BOUNDS.len());
        page.sample(&bucket, &[method, service, kind, ("le", "+Inf")], total);
        let nanos: u64 = shared
            .counters
            .threads
            .iter()
            .map(|t| t.routes[route.index()].handling_nanos.get())
            .sum();
        page.sample(
            &format!("{name}_sum"),
            &[method, service, kind],
            nanos as f64 / 1e9,
        );
        page.sample(&format!("{name}_count"), &[method, service, kind], total);
    }
}
