//! Which processes run on a machine that has joined.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::joined::Joined;
use crate::limits::BALANCER_PORT;
use crate::supervise::Service;

/// Programs and what they are told.
pub(super) struct Services<'a> {
    pub(super) joined: &'a Joined,
    /// This program; the others lie beside it.
    pub(super) this: &'a Path,
}

impl Services<'_> {
    /// All, in the order of starting.
    pub(super) fn all(&self) -> Vec<Service> {
        let mut services = self.first();
        services.extend([self.network(), self.proxy()]);
        services
    }

    /// What runs before the node has its certificate.
    pub(super) fn first(&self) -> Vec<Service> {
        vec![self.balancer(), self.runtime(), self.kubelet()]
    }

    pub(super) fn runtime(&self) -> Service {
        let config = self.joined.etc("containerd.toml");
        service(
            "containerd",
            Path::new("containerd"),
            vec![flag("config", &config)],
        )
    }

    fn balancer(&self) -> Service {
        let arguments = vec![
            "balance".to_owned(),
            format!("--listen=127.0.0.1:{BALANCER_PORT}"),
            format!("--servers={}", self.joined.server),
            flag("ca-file", &self.joined.etc("ca.crt")),
        ];
        service("balancer", self.this, arguments)
    }

    fn kubelet(&self) -> Service {
        let joined = self.joined;
        let arguments = vec![
            flag(
                "bootstrap-kubeconfig",
                &joined.etc("bootstrap-kubelet.kubeconfig"),
            ),
            flag("kubeconfig", &joined.kubeconfig()),
            flag("root-dir", &joined.root.join("kubelet")),
            flag("pod-logs-dir", &joined.root.join("logs/pods")),
            format!(
                "--container-runtime-endpoint=unix://{}",
                joined.runtime().socket().display()
            ),
            format!("--cgroup-root=/{}", joined.cgroup()),
            "--rotate-certificates=true".to_owned(),
            // Nobody here can sign one: the cluster's administrator approves it.
            "--rotate-server-certificates=true".to_owned(),
            flag("client-ca-file", &joined.etc("ca.crt")),
            "--anonymous-auth=false".to_owned(),
            "--authentication-token-webhook=true".to_owned(),
            "--authorization-mode=Webhook".to_owned(),
            format!("--hostname-override={}", joined.name),
            format!("--node-ip={}", joined.address),
            format!("--cluster-dns={}", joined.layout.dns),
            "--cluster-domain=cluster.local".to_owned(),
        ];
        service("kubelet", &self.ours("kubelet"), arguments)
    }

    fn network(&self) -> Service {
        let joined = self.joined;
        let arguments = vec![
            "network".to_owned(),
            flag("kubeconfig", &joined.kubeconfig()),
            format!("--node-name={}", joined.name),
            format!("--address={}", joined.address),
            format!("--cluster-cidr={}", joined.layout.pods),
            flag("cni-conf-dir", &joined.runtime().cni),
        ];
        service("network", self.this, arguments)
    }

    fn proxy(&self) -> Service {
        let joined = self.joined;
        let arguments = vec![
            flag("kubeconfig", &joined.kubeconfig()),
            format!("--hostname-override={}", joined.name),
            format!("--cluster-cidr={}", joined.layout.pods),
        ];
        service("proxy", &self.ours("proxy"), arguments)
    }

    pub(super) fn ours(&self, program: &str) -> PathBuf {
        self.this.with_file_name(program)
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

fn service(name: &str, program: &Path, arguments: Vec<String>) -> Service {
    Service {
        name: name.to_owned(),
        program: program.display().to_string(),
        arguments,
        environment: BTreeMap::new(),
    }
}
