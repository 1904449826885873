//! A cluster of hosts.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::bring::{Up, wait};
use super::{api, tour};
use crate::cluster::{Cluster, Host, Wanted, services};
use crate::doctor;
use crate::files;
use crate::host::{MachineLock, Power, bases, free_subnet, lay_bridge};
use crate::limits::{API_PORT, MACHINE_PORTS};
use crate::load::give;
use crate::screen::say;
use crate::{containerd, machine, pki, stock};

/// Workers, if nobody says how many.
const WORKERS: usize = 3;

pub(super) fn up(root: &Path, there: Option<Cluster>, flags: Up, begun: Instant) -> Result<()> {
    if let Some(missing) = doctor::missing_for_hosts().first() {
        bail!("{missing} ('mainstay doctor' says more)");
    }
    let (mut cluster, surplus) = network(root, there, flags)?;
    pki::ensure(&cluster)?;
    let means = doctor::means();
    if means.containers {
        stock::fill(&cluster.folders().images())?;
    }
    say(format!(
        "{} masters and {} workers on {}, files in {}",
        cluster.masters().count(),
        cluster.workers().count(),
        cluster.subnet,
        root.display()
    ));
    each(&cluster, |host| start(&cluster, host))?;
    machine::on(&cluster)?;
    for host in &surplus {
        let cluster = &cluster;
        Power { cluster, host }.off(true)?;
        say(format!(
            "{} is off, and no longer part of the cluster",
            host.name
        ));
    }
    wait(async {
        let client = api::answers(&cluster).await?;
        api::furnish(&client, &cluster, means).await?;
        if !cluster.furnished {
            cluster.furnished = true;
            each(&cluster, |host| complete(&cluster, host))?;
            cluster.write()?;
        }
        api::led(&client).await?;
        say("the control plane serves");
        api::entered(&cluster).await?;
        api::forget(&client, &surplus).await?;
        api::ready(&client, &cluster).await?;
        match means.containers && means.dns && cluster.workers().count() > 0 {
            true => api::names(&client).await,
            false => Ok(()),
        }
    })?;
    tour::show(&cluster, means, begun.elapsed());
    Ok(())
}

/// Decides about addresses, and makes the segment that they are on. Returns also the hosts that are no longer wanted.
fn network(root: &Path, there: Option<Cluster>, flags: Up) -> Result<(Cluster, Vec<Host>)> {
    let lock = MachineLock::take()?;
    let mut cluster = match there {
        Some(cluster) => {
            if let Some(asked) = flags.subnet.filter(|asked| *asked != cluster.subnet) {
                bail!(
                    "the hosts of the cluster there are on {}, which cannot become {asked} afterwards",
                    cluster.subnet
                );
            }
            cluster
        }
        None => {
            let subnet = free_subnet(flags.subnet, &lock)?;
            Cluster::new(root, subnet, free_port()?, bases())
        }
    };
    let surplus = cluster.grow(Wanted {
        masters: flags.masters,
        workers: flags.workers.unwrap_or(WORKERS),
    })?;
    // While it was down somebody else may have taken the port: nobody but its administrator knows it.
    if machine::first(&cluster).is_none() {
        machine::sweep(&cluster)?;
        if !is_free(cluster.port) {
            if cluster.advertise.is_some() {
                bail!(
                    "port {} of 127.0.0.1 is in use by another program, and machines that have joined know it: stop that",
                    cluster.port
                );
            }
            cluster.port = free_port()?;
        }
    }
    if let Some(address) = flags.advertise.or(cluster.advertise) {
        advertise(&mut cluster, address)?;
    }
    cluster.write()?;
    lay_bridge(&cluster, &lock)?;
    Ok((cluster, surplus))
}

/// From now on the machine's balancer listens at this address as well. One that cannot be had would cost the
/// administrator his own way in.
fn advertise(cluster: &mut Cluster, address: Ipv4Addr) -> Result<()> {
    let listens = machine::first(cluster).is_some() && cluster.advertise == Some(address);
    if address.is_unspecified() || address.is_loopback() {
        bail!("--advertise: others cannot reach {address}");
    }
    if !listens {
        let tried = TcpListener::bind((address, cluster.port));
        tried.with_context(|| format!("--advertise: {address}:{}", cluster.port))?;
    }
    cluster.advertise = Some(address);
    Ok(())
}

/// Does something with all hosts at once: each waits for its own first process, and together they wait less.
fn each(cluster: &Cluster, work: impl Fn(&Host) -> Result<()> + Sync) -> Result<()> {
    std::thread::scope(|scope| {
        let work = &work;
        let working: Vec<_> = cluster
            .hosts
            .iter()
            .map(|host| scope.spawn(move || work(host)))
            .collect();
        let mut result = Ok(());
        for one in working {
            let one = one.join().unwrap_or_else(|_| bail!("a thread panicked"));
            result = result.and(one);
        }
        result
    })
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

/// Starts on a host that is on what was held back.
fn complete(cluster: &Cluster, host: &Host) -> Result<()> {
    prepare(cluster, host)?;
    Power { cluster, host }.on().map(|_| ())
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
    let free = ports.find(|port| is_free(*port));
    free.with_context(|| format!("no port of 127.0.0.1 from {API_PORT} on is free"))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
