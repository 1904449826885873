//! What can be set from outside, under upstream's names and with its defaults.

use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args, Command, FromArgMatches as _};
use mainstay_auth::authn::SigningKey;
use mainstay_client::process::duration;

use crate::certificates::SigningOptions;
use crate::limits::{
    AGGREGATION_GRACE, LEGACY_TOKEN_PAUSE, NAMESPACE_DELETION_PAUSE, POD_GC_NODE_PAUSE,
    POD_GC_PAUSE,
};

/// Among them the names that work at the same time, by controller: `--concurrent-…-syncs`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 5)]
    pub concurrent_cron_job_syncs: usize,
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 2)]
    pub concurrent_daemonset_syncs: usize,
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 5)]
    pub concurrent_deployment_syncs: usize,
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 5)]
    pub concurrent_endpoint_syncs: usize,
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 20)]
    pub concurrent_gc_syncs: usize,
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 5)]
    pub concurrent_job_syncs: usize,
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 10)]
    pub concurrent_namespace_syncs: usize,
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 5)]
    pub concurrent_replicaset_syncs: usize,
    #[arg(long = "concurrent-rc-syncs", value_name = "N", value_parser = workers, default_value_t = 5)]
    pub concurrent_replication_controller_syncs: usize,
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 5)]
    pub concurrent_resource_quota_syncs: usize,
    /// How often all quotas are counted anew.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m")]
    pub resource_quota_sync_period: Duration,
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 5)]
    pub concurrent_service_endpoint_syncs: usize,
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 5)]
    pub concurrent_serviceaccount_token_syncs: usize,
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 5)]
    pub concurrent_statefulset_syncs: usize,
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = 5)]
    pub concurrent_ttl_after_finished_syncs: usize,
    /// Finished pods that are kept; none are deleted if it is 0.
    #[arg(long, value_name = "N", default_value_t = 12_500)]
    pub terminated_pod_gc_threshold: usize,
    /// How long a token that was made for a service account without anybody asking may be unused until it is closed,
    /// and then closed until it is deleted.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "8760h0m0s")]
    pub legacy_service_account_token_clean_up_period: Duration,
    /// How often such tokens are looked at.
    #[arg(skip = LEGACY_TOKEN_PAUSE)]
    pub legacy_service_account_token_period: Duration,
    /// What tokens in secrets are signed with; none, and secrets are not filled.
    #[arg(skip)]
    pub service_account_key: Option<Arc<SigningKey>>,
    #[command(flatten)]
    pub signing: SigningOptions,
    /// How often pods are looked for that nobody takes away.
    #[arg(skip = POD_GC_PAUSE)]
    pub pod_gc_period: Duration,
    /// How long a node must be missing before its pods go.
    #[arg(skip = POD_GC_NODE_PAUSE)]
    pub pod_gc_quarantine: Duration,

    /// How often it is looked at all nodes.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5s")]
    pub node_monitor_period: Duration,
    /// How long a node may be silent before it counts as unreachable. Several times as long as kubelets take to
    /// renew their leases.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "50s")]
    pub node_monitor_grace_period: Duration,
    /// The same for a node that has never told its status.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1m")]
    pub node_startup_grace_period: Duration,
    /// Nodes a second whose pods are evicted in a healthy zone.
    #[arg(long, value_name = "RATE", default_value_t = 0.1)]
    pub node_eviction_rate: f64,
    /// The same in an unhealthy zone, if it is large; in small ones it is 0.
    #[arg(long, value_name = "RATE", default_value_t = 0.01)]
    pub secondary_node_eviction_rate: f64,
    /// Share of nodes that are not ready, and at least three, from which on a zone is unhealthy.
    #[arg(long, value_name = "SHARE", default_value_t = 0.55)]
    pub unhealthy_zone_threshold: f64,
    /// Nodes of a zone above which it is large.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub large_cluster_size_threshold: usize,

    /// Whether each node is given a range of addresses for its pods.
    #[arg(long, default_value_t = false, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub allocate_node_cidrs: bool,
    /// Addresses of all pods: one range, or one of each family separated by a comma.
    #[arg(long, value_name = "CIDRS", default_value = "")]
    pub cluster_cidr: String,
    /// Addresses of services, which no node is given: one range, or one of each family.
    #[arg(long, value_name = "CIDRS", default_value = "")]
    pub service_cluster_ip_range: String,
    /// Length of a node's prefix in a cluster with one family; 0 for 24 (IPv4) and 64 (IPv6).
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    pub node_cidr_mask_size: u8,
    /// Length of a node's IPv4 prefix in a cluster with both; 0 for 24.
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    pub node_cidr_mask_size_ipv4: u8,
    /// Length of a node's IPv6 prefix in a cluster with both; 0 for 64.
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    pub node_cidr_mask_size_ipv6: u8,

    /// How long an aggregated cluster role may have wrong rules before they are written: time for the apiserver.
    #[arg(skip = AGGREGATION_GRACE)]
    pub aggregation_grace: Duration,
    /// PEM certificates for the config map `kube-root-ca.crt`; none, and it is not kept.
    #[arg(skip)]
    pub root_ca: Option<String>,
    /// Pause between the deletion of a namespace and that of what is in it: all apiservers must know of it.
    #[arg(skip = NAMESPACE_DELETION_PAUSE)]
    pub namespace_deletion_pause: Duration,
}

impl Options {
    /// Refuses options that cannot be together.
    ///
    /// # Errors
    /// Says why.
    pub fn check(&self) -> Result<(), String> {
        let rounds = [
            ("--node-monitor-period", self.node_monitor_period),
            (
                "--resource-quota-sync-period",
                self.resource_quota_sync_period,
            ),
        ];
        if let Some((flag, _)) = rounds.iter().find(|(_, period)| period.is_zero()) {
            return Err(format!("{flag} must be longer than 0"));
        }
        crate::node_ipam::check(self)
    }
}

/// How many work at the same time: without anybody nothing would be done.
fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("there must be one at least".to_owned()),
        Ok(workers) => Ok(workers),
        Err(_) => Err("not a number".to_owned()),
    }
}

impl Default for Options {
    fn default() -> Self {
        let none = Self::augment_args(Command::new("defaults")).get_matches_from(["defaults"]);
        Self::from_arg_matches(&none).expect("every option has a default")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_upstreams() {
        let options = Options::default();
        assert_eq!(options.concurrent_deployment_syncs, 5);
        assert_eq!(options.concurrent_gc_syncs, 20);
        assert_eq!(options.concurrent_daemonset_syncs, 2);
        let year = 365 * 24 * 3_600;
        assert_eq!(options.signing.cluster_signing_duration.as_secs(), year);
        assert_eq!(options.node_monitor_grace_period.as_secs(), 50);
        assert_eq!(options.node_startup_grace_period.as_secs(), 60);
        assert!(!options.allocate_node_cidrs);
        assert_eq!(options.check(), Ok(()));
    }

    #[test]
    fn a_period_of_nothing_ended_the_process_later_on() {
        let refused = Options {
            node_monitor_period: Duration::ZERO,
            ..Options::default()
        };
        let why = refused.check().expect_err("rounds without a pause");
        assert!(why.contains("--node-monitor-period"), "{why}");
    }
}
