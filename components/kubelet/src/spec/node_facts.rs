//! What a node contributes to every pod's configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::layout::Layout;
use super::resolver::ResolvConf;

/// What a node contributes to every pod's configuration. Gathered when the kubelet starts.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    pub name: String,
    /// The node's addresses, the one of `status.hostIP` first.
    pub addresses: Vec<IpAddr>,
    /// `--cluster-dns`
    pub cluster_dns: Vec<IpAddr>,
    /// `--cluster-domain`, as `cluster.local`
    pub cluster_domain: String,
    /// The host's resolver; none if `--resolv-conf` is empty.
    pub resolv_conf: Option<ResolvConf>,
    /// Bytes of memory.
    pub memory: u64,
    /// `status.allocatable`: what limits are taken to be where a container has none.
    pub allocatable: BTreeMap<String, Quantity>,
    /// Whether CPU limits are enforced: `--cpu-cfs-quota`.
    pub cpu_quota: bool,
    /// Microseconds: `--cpu-cfs-quota-period`.
    pub cpu_period: i64,
    /// Whether containers without a seccomp profile get the runtime's: `--seccomp-default`.
    pub seccomp_default: bool,
    /// Sizes of huge pages that the kernel has, as `2MB`.
    pub huge_pages: Vec<String>,
    /// CPUs whose thermal throttling can be read, and must not be from a container.
    pub throttled_cpus: Vec<u32>,
    /// Whether the kernel accounts swap in version 1 cgroups: then containers get none.
    pub limit_swap_v1: bool,
    /// `/etc/hosts` of the node.
    pub hosts: PathBuf,
    pub layout: Layout,
}

impl NodeFacts {
    /// Where the profiles of `seccompProfile.localhostProfile` lie.
    #[must_use]
    pub fn seccomp_root(&self) -> PathBuf {
        self.layout.root.join("seccomp")
    }
}
