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
        }
    }
}
