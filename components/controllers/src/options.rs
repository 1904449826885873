//! What can be set from outside, with upstream's defaults.

/// Names that work at the same time, by controller: the `--concurrent-…-syncs` of kube-controller-manager.
#[derive(Clone, Debug)]
pub struct Options {
    pub concurrent_daemonset_syncs: usize,
    pub concurrent_deployment_syncs: usize,
    pub concurrent_endpoint_syncs: usize,
    pub concurrent_service_endpoint_syncs: usize,
    pub concurrent_replicaset_syncs: usize,
    pub concurrent_replication_controller_syncs: usize,
    pub concurrent_statefulset_syncs: usize,
    pub concurrent_gc_syncs: usize,
    pub concurrent_namespace_syncs: usize,
    pub concurrent_job_syncs: usize,
    pub concurrent_cron_job_syncs: usize,
    pub concurrent_ttl_after_finished_syncs: usize,
    /// Finished pods that are kept; none are deleted if it is 0.
    pub terminated_pod_gc_threshold: usize,
    /// PEM certificates for the config map `kube-root-ca.crt`; none, and it is not kept.
    pub root_ca: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrent_daemonset_syncs: 2,
            concurrent_deployment_syncs: 5,
            concurrent_endpoint_syncs: 5,
            concurrent_service_endpoint_syncs: 5,
            concurrent_replicaset_syncs: 5,
            concurrent_replication_controller_syncs: 5,
            concurrent_statefulset_syncs: 5,
            concurrent_gc_syncs: 20,
            concurrent_namespace_syncs: 10,
            concurrent_job_syncs: 5,
            concurrent_cron_job_syncs: 5,
            concurrent_ttl_after_finished_syncs: 5,
            terminated_pod_gc_threshold: 12_500,
            root_ca: None,
        }
    }
}
