//! The segment that connects the hosts with each other and with the machine.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, bail};
use ipnet::Ipv4Net;

use super::Process;
use super::before::{MachineLock, forward, forward_no_more};
use crate::cluster::{BRIDGE, Cluster, Host};
use crate::command::{fed, run};

/// A range of addresses that this machine has no route to: the one that is asked for, or any.
pub(crate) fn free_subnet(asked: Option<Ipv4Net>, _: &MachineLock) -> Result<Ipv4Net> {
    let taken = routes()?;
    if let Some(asked) = asked {
        if overlaps(&taken, &asked) {
            bail!("this machine has a route to {asked}, or to a part of it, already");
        }
        return Ok(asked);
    }
    let free = (0..=255u8)
        .map(|third| Ipv4Net::new_assert(Ipv4Addr::new(10, 240, third, 0), 24))
        .find(|net| !overlaps(&taken, net));
    free.context("no range of addresses below 10.240.0.0/16 is free on this machine")
}

fn routes() -> Result<Vec<Ipv4Net>> {
    let routes = run("ip", &["-4", "route", "show", "table", "all"])?;
    Ok(taken(&routes))
}

fn overlaps(taken: &[Ipv4Net], net: &Ipv4Net) -> bool {
    taken
        .iter()
        .any(|other| other.contains(net) || net.contains(other))
}

fn taken(routes: &str) -> Vec<Ipv4Net> {
    let words = routes.split_ascii_whitespace();
    let nets = words.filter_map(|word| match word.parse() {
        Ok(net) => Some(net),
        Err(_) => word.parse::<Ipv4Addr>().ok().map(Ipv4Net::from),
    });
    nets.collect()
}

/// The bridge, the machine's address on it, and the way out: addresses of hosts are hidden behind the machine's.
pub(crate) fn lay_bridge(cluster: &Cluster, lock: &MachineLock) -> Result<()> {
    let bridge = cluster.bridge();
    if !links().contains(&bridge) {
        if overlaps(&routes()?, &cluster.subnet) {
            bail!(
                "somebody else has {} by now, where the hosts of this cluster have their addresses: \
                 stop that, or give this cluster up with 'mainstay down --delete'",
                cluster.subnet
            );
        }
        run("ip", &["link", "add", &bridge, "type", "bridge"])?;
    }
    let address = format!("{}/{}", cluster.gateway(), cluster.subnet.prefix_len());
    run("ip", &["addr", "replace", &address, "dev", &bridge])?;
    run("ip", &["link", "set", &bridge, "up"])?;
    forward(lock)?;
    let (table, subnet) = (table(cluster), cluster.subnet);
    let rules = format!(
        "table ip {table}\ndelete table ip {table}\ntable ip {table} {{\n\
         chain out {{ type nat hook postrouting priority 100;\n\
         ip saddr {subnet} ip daddr != {subnet} masquerade\n}}\n}}\n"
    );
    // Without nft the hosts reach each other all the same.
    match fed("nft", &["-f", "-"], &rules) {
        Ok(_) => {}
        Err(error) => tracing::warn!("the hosts will not reach other networks: {error}"),
    }
    Ok(())
}

/// Takes it away again.
pub(crate) fn take_bridge(cluster: &Cluster) -> Result<()> {
    let lock = MachineLock::take()?;
    let bridge = cluster.bridge();
    if links().contains(&bridge) {
        run("ip", &["link", "del", &bridge])?;
    }
    let table = table(cluster);
    let rules = format!("table ip {table}\ndelete table ip {table}\n");
    if let Err(error) = fed("nft", &["-f", "-"], &rules) {
        tracing::debug!("{error}");
    }
    match links().iter().any(|link| link.starts_with(BRIDGE)) {
        true => Ok(()),
        false => forward_no_more(&lock),
    }
}

fn table(cluster: &Cluster) -> String {
    format!("mainstay-{}", cluster.id)
}

/// Those of the network this process sees; `/sys` may show another one's.
pub(crate) fn links() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let names = text.lines().filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

/// Plugs a host in: a pair of links, one of which is its `eth0`.
pub(super) fn plug(cluster: &Cluster, host: &Host, first: Process) -> Result<()> {
    let (link, pid) = (cluster.link(host), first.pid.to_string());
    if links().contains(&link) {
        run("ip", &["link", "del", &link])?;
    }
    run(
        "ip",
        &[
            "link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &pid,
        ],
    )?;
    run(
        "ip",
        &["link", "set", &link, "master", &cluster.bridge(), "up"],
    )?;
    let address = format!("{}/{}", host.address, cluster.subnet.prefix_len());
    let gateway = cluster.gateway().to_string();
    let net = first.file("ns/net").display().to_string();
    let inside = format!("--net={net}");
    let batch = format!(
        "link set lo up\naddr replace {address} dev eth0\nlink set eth0 up\nroute replace default via {gateway}\n"
    );
    fed("nsenter", &[&inside, "ip", "-batch", "-"], &batch)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_with_routes_are_taken() {
        let routes = "default via 192.0.2.1 dev eth0\n10.240.0.0/24 dev ms-1 proto kernel\n\
                      local 10.240.1.1 dev ms-2 table local";
        let taken = taken(routes);
        let free = |text: &str| !overlaps(&taken, &text.parse().expect("a net"));
        assert!(!free("10.240.0.0/24"));
        assert!(!free("10.240.1.0/24"));
        assert!(free("10.240.2.0/24"));
    }
}
