//! Counters the server shows under etcd's names.

use std::sync::atomic::{AtomicU64, Ordering};

/// Plain counters, written where things happen and read by the metrics endpoint.
#[derive(Debug, Default)]
pub struct Metrics {
    /// `etcd_server_leader_changes_seen_total`
    pub leader_changes: AtomicU64,
    /// `etcd_server_proposals_failed_total`
    pub proposals_failed: AtomicU64,
    /// `etcd_server_read_indexes_failed_total`
    pub read_indexes_failed: AtomicU64,
    /// `etcd_server_heartbeat_send_failures_total`
    pub heartbeat_failures: AtomicU64,
    /// `etcd_debugging_lease_granted_total`
    pub leases_granted: AtomicU64,
    /// `etcd_debugging_lease_revoked_total`
    pub leases_revoked: AtomicU64,
    /// `etcd_debugging_server_lease_expired_total`
    pub leases_expired: AtomicU64,
    /// `etcd_debugging_lease_renewed_total`
    pub leases_renewed: AtomicU64,
    /// `mainstay_snapshots_refused_total`: snapshots from peers that were damaged and not installed
    pub snapshots_refused: AtomicU64,
    /// `mainstay_comparisons_total`: comparisons of all members' data made as leader
    pub comparisons: AtomicU64,
    /// `mainstay_scrubs_total`: times everything on disk was read and found whole
    pub scrubs: AtomicU64,
    /// `mainstay_scrubbed_bytes_total`
    pub scrubbed_bytes: AtomicU64,
    /// `etcd_network_peer_sent_bytes_total`, over all peers
    pub peer_sent_bytes: AtomicU64,
    /// `etcd_network_peer_received_bytes_total`, over all peers
    pub peer_received_bytes: AtomicU64,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
