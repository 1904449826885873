//! Flags.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{ArgAction, Parser};
use http::Uri;
use mainstay_client::process::duration;
use mainstay_client::release;

use crate::server::ServerFlags;

/// Runs the pods of a node.
#[derive(Clone, Debug, Parser)]
#[command(name = "kubelet", display_name = "Kubernetes", version = version())]
pub struct Flags {
    /// A KubeletConfiguration; flags that are given count instead of what it sets.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Kubeconfig with the address of the apiserver and this node's credentials.
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// Kubeconfig with which a first client certificate is asked for, where --kubeconfig does not exist or its
    /// certificate has ended. --kubeconfig is written then.
    #[arg(long)]
    pub bootstrap_kubeconfig: Option<OsString>,
    /// Folder for certificates and keys. Default: pki in --root-dir.
    #[arg(long)]
    pub cert_dir: Option<PathBuf>,
    /// Whether the client certificate is renewed before it ends.
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub rotate_certificates: Option<bool>,
    /// Whether the cluster is asked for the serving certificate, and for each next one. Somebody must approve.
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub rotate_server_certificates: Option<bool>,
    /// Addresses of apiservers, in place of the kubeconfig's; when one does not answer the next one is asked.
    #[arg(long, value_delimiter = ',')]
    pub master: Vec<Uri>,
    /// Name of the node. Default: the host's.
    #[arg(long)]
    pub hostname_override: Option<String>,
    /// Addresses of the node, the main one first. Default: that of the route out of it.
    #[arg(long, value_delimiter = ',')]
    pub node_ip: Vec<IpAddr>,
    /// Labels of the node, as `a=b,c=d`.
    #[arg(long, value_delimiter = ',')]
    pub node_labels: Vec<String>,
    /// Taints of a node that registers for the first time, as `key=value:NoSchedule`.
    #[arg(long, value_delimiter = ',')]
    pub register_with_taints: Vec<String>,
    /// Whether the node may take pods when it registers for the first time.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value_t = true)]
    pub register_schedulable: bool,
    /// How a cloud calls the node.
    #[arg(long)]
    pub provider_id: Option<String>,
    /// The runtime's socket. Default: containerd's.
    #[arg(long)]
    pub container_runtime_endpoint: Option<String>,
    /// Folder for pods' volumes and files. Default: /var/lib/kubelet.
    #[arg(long)]
    pub root_dir: Option<PathBuf>,
    /// Folder for pods' logs. Default: /var/log/pods.
    #[arg(long)]
    pub pod_logs_dir: Option<PathBuf>,
    /// Folder of static pods.
    #[arg(long)]
    pub pod_manifest_path: Option<PathBuf>,
    /// How often it is looked at, at least. Default: 20s.
    #[arg(long, value_parser = duration)]
    pub file_check_frequency: Option<Duration>,
    /// Where further static pods are: one, or a list, as JSON or YAML.
    #[arg(long)]
    pub manifest_url: Option<String>,
    /// Headers of requests for them, as `a:hello,b:again`.
    #[arg(long, value_delimiter = ',')]
    pub manifest_url_header: Vec<String>,
    /// How often they are asked for. Default: 20s.
    #[arg(long, value_parser = duration)]
    pub http_check_frequency: Option<Duration>,
    /// Addresses of the cluster's DNS.
    #[arg(long, value_delimiter = ',')]
    pub cluster_dns: Vec<IpAddr>,
    /// Domain of the cluster, as `cluster.local`.
    #[arg(long)]
    pub cluster_domain: Option<String>,
    /// The host's resolver configuration; empty for none. Default: /etc/resolv.conf.
    #[arg(long)]
    pub resolv_conf: Option<String>,
    /// Who makes the cgroups of containers: cgroupfs or systemd. Default: cgroupfs.
    #[arg(long)]
    pub cgroup_driver: Option<String>,
    /// The cgroup below which those of pods are. Default: that of the whole machine.
    #[arg(long)]
    pub cgroup_root: Option<String>,
    /// Processes that a pod may have. Default: as many as it likes.
    #[arg(long)]
    pub pod_max_pids: Option<i64>,
    /// Pods that the node takes. Default: 110.
    #[arg(long)]
    pub max_pods: Option<u32>,
    /// Resources kept from pods, as `cpu=500m,memory=1Gi,ephemeral-storage=1Gi`.
    #[arg(long, value_delimiter = ',')]
    pub system_reserved: Vec<String>,
    /// The same for Kubernetes' own programs.
    #[arg(long, value_delimiter = ',')]
    pub kube_reserved: Vec<String>,
    /// Whether one image is pulled after the other. Default: yes.
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub serialize_image_pulls: Option<bool>,
    /// Whether containers without a seccomp profile get the runtime's.
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub seccomp_default: Option<bool>,
    /// Whether CPU limits are enforced. Default: yes.
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub cpu_cfs_quota: Option<bool>,
    /// Address of the page for health. Default: 127.0.0.1.
    #[arg(long)]
    pub healthz_bind_address: Option<IpAddr>,
    /// Its port; 0 for none. Default: 10248.
    #[arg(long)]
    pub healthz_port: Option<u16>,
    /// Port of the kubelet's API, as the node's object names it. Default: 10250.
    #[arg(long)]
    pub port: Option<u16>,
    #[command(flatten)]
    pub server: ServerFlags,
    /// How much is told: 0 to 3 for information, more for debugging.
    #[arg(short = 'v', long = "v", default_value_t = 2)]
    pub verbosity: u8,
}

/// As upstream's kubelet says it: `Kubernetes v1.36.2`, and what is ours.
fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(release);
    &VERSION
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_version_is_that_of_kubernetes() {
        let said = Flags::command().render_version();
        assert!(said.starts_with("Kubernetes v1.36."), "{said}");
    }
}
