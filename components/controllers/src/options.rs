//! What can be set from outside, under upstream's names and with its defaults.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches as _};
use mainstay_auth::authn::SigningKey;
use mainstay_client::process::duration;

use crate::certificates::SigningOptions;

/// Names that work at the same time, by controller: the `--concurrent-…-syncs` of kube-controller-manager.
#[derive(Args, Clone, Debug)]
pub struct Options {
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub concurrent_cron_job_syncs: usize,
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub concurrent_daemonset_syncs: usize,
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub concurrent_deployment_syncs: usize,
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub concurrent_endpoint_syncs: usize,
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub concurrent_gc_syncs: usize,
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub concurrent_job_syncs: usize,
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub concurrent_namespace_syncs: usize,
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub concurrent_replicaset_syncs: usize,
    #[arg(long = "concurrent-rc-syncs", value_name = "N", default_value_t = 5)]
    pub concurrent_replication_controller_syncs: usize,
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub concurrent_resource_quota_syncs: usize,
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub concurrent_service_endpoint_syncs: usize,
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub concurrent_serviceaccount_token_syncs: usize,
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub concurrent_statefulset_syncs: usize,
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub concurrent_ttl_after_finished_syncs: usize,
    /// Finished pods that are kept; none are deleted if it is 0.
    #[arg(long, value_name = "N", default_value_t = 12_500)]
    pub terminated_pod_gc_threshold: usize,
    /// How long a token that was made for a service account without anybody asking may be unused until it is closed,
    /// and then closed until it is deleted.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "8760h0m0s")]
    pub legacy_service_account_token_clean_up_period: Duration,
    /// What tokens in secrets are signed with; none, and secrets are not filled.
    #[arg(skip)]
    pub service_account_key: Option<Arc<SigningKey>>,
    #[command(flatten)]
    pub signing: SigningOptions,
    /// PEM certificates for the config map `kube-root-ca.crt`; none, and it is not kept.
    #[arg(skip)]
    pub root_ca: Option<String>,
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
    }
}
