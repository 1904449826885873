//! The segment that connects the hosts with each other and with the machine.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use ipnet::Ipv4Net;

use super::Process;
use crate::cluster::{Cluster, Host};
use crate::command::{fed, run};

/// A range of addresses that this machine has no route to.
pub(crate) fn free_subnet() -> Result<Ipv4Net> {
    let routes = run("ip", &["-4", "route", "show", "table", "all"])?;
    let taken = taken(&routes);
    let free = (0..=255u8)
        .map(|third| Ipv4Net::new_assert(Ipv4Addr::new(10, 240, third, 0), 24))
        .find(|net| {
            !taken
                .iter()
                .any(|other| other.contains(net) || net.contains(other))
        });
    free.context("no range of addresses below 10.240.0.0/16 is free on this machine")
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
pub(crate) fn lay_bridge(cluster: &Cluster) -> Result<()> {
    let bridge = cluster.bridge();
    if !exists(&bridge) {
        run("ip", &["link", "add", &bridge, "type", "bridge"])?;
    }
    let address = format!("{}/{}", cluster.gateway(), cluster.subnet.prefix_len());
    run("ip", &["addr", "replace", &address, "dev", &bridge])?;
    run("ip", &["link", "set", &bridge, "up"])?;
    let forward = "/proc/sys/net/ipv4/ip_forward";
    fs::write(forward, "1").context(forward)?;
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
    let bridge = cluster.bridge();
    if exists(&bridge) {
        run("ip", &["link", "del", &bridge])?;
    }
    let table = table(cluster);
    let rules = format!("table ip {table}\ndelete table ip {table}\n");
    if let Err(error) = fed("nft", &["-f", "-"], &rules) {
        tracing::debug!("{error}");
    }
    Ok(())
}

fn table(cluster: &Cluster) -> String {
    format!("mainstay-{}", cluster.id)
}

fn exists(link: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(link).exists()
}

/// Plugs a host in: a pair of links, one of which is its `eth0`.
pub(super) fn plug(cluster: &Cluster, host: &Host, first: Process) -> Result<()> {
    let (link, pid) = (cluster.link(host), first.pid.to_string());
    if exists(&link) {
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
        let free = |text: &str| {
            let net: Ipv4Net = text.parse().expect("a net");
            !taken
                .iter()
                .any(|other| other.contains(&net) || net.contains(other))
        };
        assert!(!free("10.240.0.0/24"));
        assert!(!free("10.240.1.0/24"));
        assert!(free("10.240.2.0/24"));
    }
}
