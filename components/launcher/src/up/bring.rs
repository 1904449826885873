//! From whatever there is to a cluster that serves.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::{api, tour};
use crate::cluster::{Cluster, Host, Lock, Wanted, services};
use crate::doctor;
use crate::files;
use crate::host::{Power, bases, free_subnet, lay_bridge};
use crate::limits::{API_PORT, MACHINE_PORTS};
use crate::load::give;
use crate::screen::say;
use crate::{containerd, machine, pki, stock};

/// Flags of `mainstay up`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Up {
    /// Hosts with a member of the store, an apiserver, controllers and a scheduler. Cannot change afterwards.
    #[arg(long, value_name = "N", default_value_t = 3)]
    masters: usize,
    /// Hosts for pods. Called again with another number, hosts are added or taken away.
    #[arg(long, value_name = "N", default_value_t = 3)]
    workers: usize,
}

/// Starts what does not run, as often as it is called, and waits until the cluster serves.
pub(crate) fn up(root: &Path, flags: Up) -> Result<()> {
    let begun = Instant::now();
    let missing = doctor::missing_for_cluster();
    if let [first, ..] = missing.as_slice() {
        bail!("{first} ('mainstay doctor' says more)");
    }
    let _lock = Lock::take(root)?;
    let mut cluster = match Cluster::read(root)? {
        Some(cluster) => cluster,
        None => Cluster::new(root, free_subnet()?, free_port()?, bases()),
    };
    let surplus = cluster.grow(Wanted {
        masters: flags.masters,
        workers: flags.workers,
    })?;
    cluster.write()?;
    pki::ensure(&cluster)?;
    lay_bridge(&cluster)?;
    let cluster = &cluster;
    let means = doctor::means();
    if means.containers {
        stock::fill(cluster)?;
    }
    say(format!(
        "{} masters and {} workers on {}, files in {}",
        cluster.masters().count(),
        cluster.workers().count(),
        cluster.subnet,
        root.display()
    ));
    // Each waits for its own first process; all at once they wait together.
    std::thread::scope(|scope| {
        let starting: Vec<_> = cluster
            .hosts
            .iter()
            .map(|host| scope.spawn(move || start(cluster, host)))
            .collect();
        let mut result = Ok(());
        for one in starting {
            let one = one.join().unwrap_or_else(|_| bail!("a thread panicked"));
            result = result.and(one);
        }
        result
    })?;
    machine::on(cluster)?;
    for host in &surplus {
        Power { cluster, host }.off(true)?;
        say(format!(
            "{} is off, and no longer part of the cluster",
            host.name
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime")?;
    runtime.block_on(async {
        let client = api::serving(cluster).await?;
        say("the control plane serves");
        api::furnish(&client, cluster, means).await?;
        api::forget(&client, &surplus).await?;
        api::ready(&client, cluster).await
    })?;
    tour::show(cluster, means, begun.elapsed());
    Ok(())
}

fn start(cluster: &Cluster, host: &Host) -> Result<()> {
    prepare(cluster, host)?;
    let power = Power { cluster, host };
    let state = match power.on()? {
        true => "is on",
        false => "runs already",
    };
    say(format!("{} ({}) {state}", host.name, host.address));
    match power.first() {
        Some(first) if doctor::means().containers && !host.is_master() => {
            give(cluster, host, first)
        }
        _ => Ok(()),
    }
}

/// Lays on a host's disk what its processes need.
pub(crate) fn prepare(cluster: &Cluster, host: &Host) -> Result<()> {
    pki::equip(cluster, host)?;
    let disk = cluster.folders().disk(&host.name);
    let means = doctor::means();
    if means.containers && !host.is_master() {
        containerd::configure(&disk)?;
    }
    let text = serde_json::to_vec_pretty(&services(cluster, host, means)).context("services")?;
    files::update(&disk.join("etc/mainstay/services.json"), &text, 0o600)?;
    Ok(())
}

/// One of 127.0.0.1 for the machine's way in.
fn free_port() -> Result<u16> {
    let mut ports = API_PORT..API_PORT.saturating_add(MACHINE_PORTS);
    let free = ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.with_context(|| format!("no port of 127.0.0.1 from {API_PORT} on is free"))
}
