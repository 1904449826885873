//! From whatever there is to a cluster that serves.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use ipnet::Ipv4Net;

use super::{embedded, hosts};
use crate::cluster::{Cluster, Lock};
use crate::doctor;
use crate::join::Joined;
use crate::screen::say;

/// Flags of `mainstay up`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Up {
    /// Hosts with a member of the store, an apiserver, controllers and a scheduler; embedded, members of the store.
    /// Cannot change afterwards.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(super) masters: usize,
    /// Hosts for pods [default: 3]; embedded, fake nodes [default: 5]. Called again with another number, they are added
    /// or taken away.
    #[arg(long, value_name = "N")]
    pub(super) workers: Option<usize>,
    /// No hosts and no containers: one control plane of plain processes on 127.0.0.1, with fake nodes. Needs no root.
    /// Chosen by itself where something is missing for containers.
    #[arg(long)]
    embedded: bool,
    /// Hosts in any case, with fake nodes if something is missing for containers.
    #[arg(long, conflicts_with = "embedded")]
    hosts: bool,
    /// Addresses of hosts [default: a free range below 10.240.0.0/16]. Cannot change afterwards.
    #[arg(long, value_name = "RANGE", conflicts_with = "embedded")]
    pub(super) subnet: Option<Ipv4Net>,
    /// An address of this machine at which others reach the apiservers: without it none can join. Once it is given it
    /// stays until another one is.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "embedded")]
    pub(super) advertise: Option<Ipv4Addr>,
}

impl Up {
    /// What a new cluster becomes: whether it is embedded.
    fn chooses_embedded(self) -> Result<bool> {
        if self.embedded {
            return Ok(true);
        }
        let no_hosts = doctor::missing_for_hosts();
        if self.hosts {
            return match no_hosts.first() {
                Some(first) => bail!("{first} ('mainstay doctor' says more)"),
                None => Ok(false),
            };
        }
        let no_containers = doctor::missing_for_containers();
        let missing = no_hosts.first().or(no_containers.first());
        if let Some(missing) = missing {
            say(format!(
                "no containers here: {missing} ('mainstay doctor' says more).\n\
                 Instead: one control plane of plain processes, with fake nodes (as with --embedded)."
            ));
        }
        Ok(missing.is_some())
    }

    /// What a cluster that is there stays.
    fn accepts(self, cluster: &Cluster) -> Result<()> {
        let (is, wanted) = match (&cluster.embedded, self.embedded, self.hosts) {
            (Some(_), _, true) => ("embedded", "--hosts"),
            (None, true, _) => ("of hosts", "--embedded"),
            _ => return Ok(()),
        };
        bail!(
            "the cluster there is {is}: with {wanted} it would be another one; \
             give it up with 'mainstay down --delete', or choose another folder with --dir"
        )
    }
}

/// Starts what does not run, as often as it is called, and waits until the cluster serves.
pub(crate) fn up(root: &Path, flags: Up) -> Result<()> {
    let begun = Instant::now();
    let _lock = Lock::take(root)?;
    if Joined::read(root)?.is_some() {
        bail!(
            "with {} this machine has joined the cluster of another one: choose another folder with --dir",
            root.display()
        );
    }
    let cluster = Cluster::read(root)?;
    let embedded = match &cluster {
        Some(cluster) => {
            flags.accepts(cluster)?;
            cluster.embedded.is_some()
        }
        None => flags.chooses_embedded()?,
    };
    match embedded {
        true => embedded::up(root, cluster, flags, begun),
        false => hosts::up(root, cluster, flags, begun),
    }
}

/// Waits for what an apiserver is asked.
pub(crate) fn wait<T>(asking: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime")?;
    runtime.block_on(asking)
}
