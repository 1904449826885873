//! `dns`: what CoreDNS is to Kubernetes.

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use dns::{Options, Policy, serve};
use http::Uri;
use mainstay_client::Informers;
use mainstay_client::process::{Component, Flags, Running, duration, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Answers DNS questions: the cluster's names from the apiserver, all others by asking other servers.
#[derive(Debug, Parser)]
#[command(name = "dns", version)]
struct Own {
    /// Kubeconfig with the address of the apiserver and the own credentials. Default: those of a pod.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Addresses of apiservers, in place of the kubeconfig's; when one does not answer the next one is asked.
    #[arg(long, value_delimiter = ',')]
    master: Vec<Uri>,
    /// The cluster's domain.
    #[arg(long, default_value = "cluster.local")]
    domain: String,
    /// Where questions are taken, over UDP and TCP. A host with several addresses should name them one by one:
    /// answers come from the address that was asked.
    #[arg(long, value_delimiter = ',', default_value = "0.0.0.0:53")]
    listen: Vec<SocketAddr>,
    /// Seconds that answers about the cluster count.
    #[arg(long, default_value_t = dns::limits::TTL)]
    ttl: u32,
    /// Servers for all other names: addresses, or files in the form of resolv.conf. Empty for none.
    #[arg(long, value_delimiter = ',', default_value = "/etc/resolv.conf")]
    forward: Vec<String>,
    /// In which order they are asked: random, round_robin or sequential.
    #[arg(long, default_value = "random")]
    forward_policy: Policy,
    /// For how long their answers are kept at most, whatever they say; 0 for not at all.
    #[arg(long, value_parser = duration, default_value = "30s")]
    cache: Duration,
    /// Address of the pages for health and metrics.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    bind_address: IpAddr,
    /// Port of /metrics; 0 for none.
    #[arg(long, default_value_t = 9153)]
    metrics_port: u16,
    /// Port of /health; 0 for none.
    #[arg(long, default_value_t = 8080)]
    health_port: u16,
    /// Port of /ready; 0 for none.
    #[arg(long, default_value_t = 8181)]
    ready_port: u16,
    /// For how long to go on answering after SIGTERM, while others hear of it; at most 8s.
    #[arg(long, value_parser = duration, default_value = "5s")]
    lameduck: Duration,
}

impl Own {
    fn options(&self) -> Options {
        let page = |port| (port != 0).then(|| SocketAddr::new(self.bind_address, port));
        Options {
            domain: self.domain.clone(),
            listen: self.listen.clone(),
            ttl: self.ttl,
            upstreams: self
                .forward
                .iter()
                .filter(|f| !f.is_empty())
                .cloned()
                .collect(),
            policy: self.forward_policy,
            cache_max: self.cache,
            metrics: page(self.metrics_port),
            health: page(self.health_port),
            ready: page(self.ready_port),
            lameduck: self.lameduck,
        }
    }

    /// Those that all components have: every replica works, and pages are plain.
    fn flags(&self) -> Flags {
        Flags::unelected(self.kubeconfig.clone(), self.master.clone())
    }
}

fn main() -> ExitCode {
    let own = Own::parse();
    let options = own.options();
    let component = Component {
        name: "dns",
        port: 0,
        config: serde_json::Value::Null,
    };
    run(
        component,
        &own.flags(),
        move |running: Running| async move {
            let client = match running.access.own() {
                Ok(client) => client,
                Err(error) => return tracing::error!("{error}"),
            };
            let informers = Informers::new(client);
            let served = serve(&informers, &running.metrics, &running.stop, options).await;
            if let Err(error) = served {
                tracing::error!("{error}");
            }
        },
    )
}
