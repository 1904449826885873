//! The agent's own life.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;
use mainstay_client::Informers;
use mainstay_client::process::{Component, Flags, Running, run};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::apply::{apply, own};
use super::nodes::Peer;
use super::plan::{Way, plan};
use crate::limits::{NETWORK_PAUSE, NETWORK_RETRY_PAUSE, NETWORK_ROUND};

/// Flags of `mainstay network`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Network {
    /// Kubeconfig with the address of the apiserver and the own credentials.
    #[arg(long)]
    kubeconfig: PathBuf,
    /// The own node. A host without a node only learns the way to the pods of others.
    #[arg(long, value_name = "NAME")]
    node_name: String,
    /// The own address among the nodes.
    #[arg(long, value_name = "ADDRESS")]
    address: Ipv4Addr,
    /// Where all pods have their addresses.
    #[arg(long, value_name = "RANGE")]
    cluster_cidr: Ipv4Net,
    /// How to get to other nodes.
    #[arg(long, value_enum, default_value = "auto")]
    way: Way,
    /// Folder for the configuration of CNI plugins.
    #[arg(long, default_value = "/etc/cni/net.d")]
    cni_conf_dir: PathBuf,
}

/// Runs until SIGTERM or SIGINT. What the kernel was told stays.
pub(crate) fn network(flags: Network) -> ExitCode {
    let component = Component {
        name: "mainstay-network",
        port: 0,
        config: serde_json::Value::Null,
    };
    let shared = Flags::unelected(Some(flags.kubeconfig.clone()), Vec::new());
    run(component, &shared, move |running: Running| async move {
        let client = match running.access.own() {
            Ok(client) => client,
            Err(error) => return tracing::error!("{error}"),
        };
        let informers = Informers::new(client);
        tokio::select! {
            () = follow(&informers, &flags) => {}
            () = running.stop.announced() => {}
        }
    })
}

async fn follow(informers: &Informers, flags: &Network) {
    let nodes = informers.of::<Node>();
    let changed = Arc::new(Notify::new());
    let notify = Arc::clone(&changed);
    nodes.on(move |_| notify.notify_one());
    nodes.synced().await;
    loop {
        let all = nodes.cache().all();
        let peers: Vec<Peer> = all
            .iter()
            .filter(|node| !Peer::is_fake(node))
            .filter_map(|node| Peer::of(node))
            .collect();
        let flags = flags.clone();
        // Commands take milliseconds, but they block.
        let done = tokio::task::spawn_blocking(move || once(&flags, &peers)).await;
        match done {
            Ok(Ok(())) => {
                // Somebody else may change the kernel's mind: it is looked at again now and then.
                let _ = timeout(NETWORK_ROUND, changed.notified()).await;
                // Nodes tell of themselves every few seconds; not each time is news.
                sleep(NETWORK_PAUSE).await;
            }
            Ok(Err(error)) => {
                tracing::warn!("{error:#}");
                sleep(NETWORK_RETRY_PAUSE).await;
            }
            Err(error) => tracing::error!("{error}"),
        }
    }
}

fn once(flags: &Network, peers: &[Peer]) -> Result<()> {
    let own = own(&flags.node_name, flags.address)?;
    let plan = plan(&own, flags.way, peers);
    apply(&own, &plan, flags.cluster_cidr, &flags.cni_conf_dir)
}
