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
            root_ca: None,
        }
    }
}
