//! What the tests of these modules share.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodSpec, Secret};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::layout::Layout;
use super::node_facts::NodeFacts;
use super::resolver::ResolvConf;

/// Pod `ns/p` with uid `u-1` and this spec.
pub(crate) fn pod(spec: &str) -> Pod {
    let spec: PodSpec = serde_yaml_ng::from_str(spec).expect("a spec");
    let mut pod = Pod {
        spec: Some(spec),
        ..Pod::default()
    };
    pod.metadata.name = Some("p".to_owned());
    pod.metadata.namespace = Some("ns".to_owned());
    pod.metadata.uid = Some("u-1".to_owned());
    pod
}

pub(crate) fn config_map(yaml: &str) -> Arc<ConfigMap> {
    Arc::new(serde_yaml_ng::from_str(yaml).expect("a config map"))
}

pub(crate) fn secret(yaml: &str) -> Arc<Secret> {
    Arc::new(serde_yaml_ng::from_str(yaml).expect("a secret"))
}

/// A node with 10 GiB of memory of which pods can have 8.
pub(crate) fn facts() -> NodeFacts {
    let amount = |(name, amount): (&str, &str)| (name.to_owned(), Quantity(amount.to_owned()));
    NodeFacts {
        name: "node-1".to_owned(),
        addresses: vec!["192.0.2.1".parse().expect("an address")],
        cluster_dns: vec!["10.0.0.10".parse().expect("an address")],
        cluster_domain: "cluster.local".to_owned(),
        resolv_conf: Some(ResolvConf::parse(
            "nameserver 9.9.9.9\nsearch host.example\noptions rotate",
        )),
        memory: 10 << 30,
        allocatable: [("cpu", "4"), ("memory", "8Gi")].map(amount).into(),
        cpu_quota: true,
        cpu_period: 100_000,
        seccomp_default: false,
        huge_pages: Vec::new(),
        throttled_cpus: vec![0],
        limit_swap_v1: false,
        hosts: "/etc/hosts".into(),
        layout: Layout {
            root: "/var/lib/kubelet".into(),
            logs: "/var/log/pods".into(),
        },
    }
}
