//! A KubeletConfiguration of group kubelet.config.k8s.io, as far as it is read.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Taint;
use serde::Deserialize;

use crate::server::ServerFields;

/// The file. What it does not set is upstream's default, or a flag's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigFile {
    pub api_version: String,
    pub kind: String,
    pub static_pod_path: Option<PathBuf>,
    #[serde(rename = "staticPodURL")]
    pub static_pod_url: Option<String>,
    #[serde(rename = "staticPodURLHeader")]
    pub static_pod_url_header: BTreeMap<String, Vec<String>>,
    pub file_check_frequency: Option<String>,
    pub http_check_frequency: Option<String>,
    pub rotate_certificates: Option<bool>,
    #[serde(rename = "serverTLSBootstrap")]
    pub server_tls_bootstrap: Option<bool>,
    pub pod_logs_dir: Option<PathBuf>,
    pub container_runtime_endpoint: Option<String>,
    #[serde(rename = "clusterDNS")]
    pub cluster_dns: Vec<IpAddr>,
    pub cluster_domain: Option<String>,
    pub resolv_conf: Option<String>,
    pub cgroup_driver: Option<String>,
    pub cgroup_root: Option<String>,
    pub pod_pids_limit: Option<i64>,
    pub max_pods: Option<u32>,
    pub system_reserved: BTreeMap<String, String>,
    pub kube_reserved: BTreeMap<String, String>,
    pub serialize_image_pulls: Option<bool>,
    pub max_parallel_image_pulls: Option<usize>,
    pub seccomp_default: Option<bool>,
    #[serde(rename = "cpuCFSQuota")]
    pub cpu_cfs_quota: Option<bool>,
    pub healthz_bind_address: Option<IpAddr>,
    pub healthz_port: Option<u16>,
    pub port: Option<u16>,
    pub register_with_taints: Vec<Taint>,
    #[serde(rename = "providerID")]
    pub provider_id: Option<String>,
    #[serde(rename = "imageGCHighThresholdPercent")]
    pub image_gc_high: Option<u64>,
    #[serde(rename = "imageGCLowThresholdPercent")]
    pub image_gc_low: Option<u64>,
    pub container_log_max_size: Option<String>,
    pub container_log_max_files: Option<usize>,
    #[serde(flatten)]
    pub server: ServerFields,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read or is none.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text =
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let file: Self = serde_yaml_ng::from_str(&text)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let known = file.api_version == "kubelet.config.k8s.io/v1beta1";
        match known && file.kind == "KubeletConfiguration" {
            true => Ok(file),
            false => Err(format!(
                "{}: not a KubeletConfiguration of kubelet.config.k8s.io/v1beta1",
                path.display()
            )),
        }
    }
}
