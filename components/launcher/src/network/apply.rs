//! From a plan to the kernel: what is there is compared first, and only differences are written.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result};
use ipnet::Ipv4Net;
use serde_json::Value;

use super::config::{TAKEN, conflist};
use super::plan::{Own, Plan, mac};
use crate::command::{fed, run};
use crate::files;
use crate::host::links;
use crate::limits::{VXLAN_ID, VXLAN_PORT};

/// Marks routes as ours.
const PROTOCOL: &str = "109";
const TUNNEL: &str = "mainstay.vxlan";
const TABLE: &str = "mainstay-network";
/// Sorts before what others may have put there.
const CONFLIST: &str = "10-mainstay.conflist";

/// Does what differs.
pub(super) fn apply(own: &Own, plan: &Plan, cluster: Ipv4Net, configs: &Path) -> Result<()> {
    let mut first = None;
    // Each part for itself: what can be done is done whatever happens to the others.
    for done in [
        tunnel(own, plan),
        routes(own, plan),
        masquerade(plan, cluster),
        config(plan, configs),
    ] {
        if let Err(error) = done {
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(()), Err)
}

/// Takes away from the kernel all that it was told, and the notes of addresses that pods had: none may be left. The
/// configuration of plugins stays.
pub(crate) fn withdraw() -> Result<()> {
    run("ip", &["-4", "route", "flush", "proto", PROTOCOL])?;
    if links().iter().any(|link| link == TUNNEL) {
        run("ip", &["link", "del", TUNNEL])?;
    }
    // Also if there is none: the first line makes it.
    let rules = format!("table ip {TABLE}\ndelete table ip {TABLE}\n");
    fed("nft", &["-f", "-"], &rules)?;
    match fs::remove_dir_all(TAKEN) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context(TAKEN),
        _ => Ok(()),
    }
}

/// The host's link to its segment.
pub(super) fn own(name: &str, address: Ipv4Addr) -> Result<Own> {
    let links = listed("ip", &["-j", "-4", "addr", "show"])?;
    let found = links.iter().find_map(|link| {
        let addresses = link["addr_info"].as_array()?;
        let text = address.to_string();
        let info = addresses
            .iter()
            .find(|info| info["local"] == text.as_str())?;
        let length = u8::try_from(info["prefixlen"].as_u64()?).ok()?;
        Some(Own {
            name: name.to_owned(),
            address,
            segment: Ipv4Net::new(address, length).ok()?,
            link: link["ifname"].as_str()?.to_owned(),
            mtu: u32::try_from(link["mtu"].as_u64()?).ok()?,
        })
    });
    found.with_context(|| format!("no link of this host has the address {address}"))
}

/// Answers of `ip -j` and `bridge -j`. Nothing is also an answer.
fn listed(program: &str, arguments: &[&str]) -> Result<Vec<Value>> {
    let text = run(program, arguments)?;
    match text.trim() {
        "" => Ok(Vec::new()),
        text => {
            serde_json::from_str(text).with_context(|| format!("{program} {}", arguments.join(" ")))
        }
    }
}

fn routes(own: &Own, plan: &Plan) -> Result<()> {
    let there = listed("ip", &["-j", "-4", "route", "show", "proto", PROTOCOL])?;
    let there: BTreeSet<String> = there
        .iter()
        .filter_map(|route| {
            let text = |field: &str| route[field].as_str();
            Some(line(text("dst")?, text("gateway")?, text("dev")?))
        })
        .collect();
    let wanted: BTreeSet<String> = plan
        .routes
        .iter()
        .map(|route| {
            let link = if route.tunnel { TUNNEL } else { &own.link };
            line(&route.pods.to_string(), &route.via.to_string(), link)
        })
        .collect();
    let mut batch = String::new();
    for gone in there.difference(&wanted) {
        // Replaced below, if only the way has changed.
        let range = gone.split(' ').next().unwrap_or_default();
        let stays = wanted
            .iter()
            .any(|line| line.split(' ').next() == Some(range));
        if !stays {
            batch.push_str(&format!("route del {range} proto {PROTOCOL}\n"));
        }
    }
    for new in wanted.difference(&there) {
        batch.push_str(&format!("route replace {new} onlink proto {PROTOCOL}\n"));
    }
    in_batch("ip", &batch)
}

fn line(range: &str, via: &str, link: &str) -> String {
    format!("{range} via {via} dev {link}")
}

fn in_batch(program: &str, batch: &str) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    tracing::info!("{program}: {}", batch.trim_end().replace('\n', "; "));
    fed(program, &["-batch", "-"], batch)?;
    Ok(())
}

fn tunnel(own: &Own, plan: &Plan) -> Result<()> {
    let exists = links().iter().any(|link| link == TUNNEL);
    if plan.ends.is_empty() {
        if exists {
            run("ip", &["link", "del", TUNNEL])?;
        }
        return Ok(());
    }
    if !exists {
        let (id, port) = (VXLAN_ID.to_string(), VXLAN_PORT.to_string());
        let (own_mac, address) = (mac(own.address), own.address.to_string());
        run(
            "ip",
            &[
                "link",
                "add",
                TUNNEL,
                "address",
                &own_mac,
                "type",
                "vxlan",
                "id",
                &id,
                "dev",
                &own.link,
                "local",
                &address,
                "dstport",
                &port,
                "nolearning",
            ],
        )?;
    }
    let mut batch = format!("link set {TUNNEL} mtu {} up\n", plan.mtu);
    if let Some(pods) = plan.pods {
        batch.push_str(&format!(
            "addr replace {}/32 dev {TUNNEL}\n",
            pods.network()
        ));
    }
    fed("ip", &["-batch", "-"], &batch)?;
    neighbours(plan)?;
    forwarding(plan)
}

/// Which hardware address the other ends have.
fn neighbours(plan: &Plan) -> Result<()> {
    let there = listed(
        "ip",
        &[
            "-j",
            "-4",
            "neigh",
            "show",
            "dev",
            TUNNEL,
            "nud",
            "permanent",
        ],
    )?;
    let there: BTreeSet<(String, String)> = pairs(&there, "dst", "lladdr");
    let wanted: BTreeSet<(String, String)> = plan
        .ends
        .iter()
        .map(|end| (end.inner.to_string(), end.mac.clone()))
        .collect();
    let mut batch = String::new();
    for (address, mac) in wanted.difference(&there) {
        batch.push_str(&format!(
            "neigh replace {address} lladdr {mac} dev {TUNNEL} nud permanent\n"
        ));
    }
    for (address, _) in there.difference(&wanted) {
        if !wanted.iter().any(|(stays, _)| stays == address) {
            batch.push_str(&format!("neigh del {address} dev {TUNNEL}\n"));
        }
    }
    in_batch("ip", &batch)
}

/// Which host they are behind.
fn forwarding(plan: &Plan) -> Result<()> {
    let there = listed("bridge", &["-j", "fdb", "show", "dev", TUNNEL])?;
    let there: BTreeSet<(String, String)> = pairs(&there, "mac", "dst");
    let wanted: BTreeSet<(String, String)> = plan
        .ends
        .iter()
        .map(|end| (end.mac.clone(), end.outer.to_string()))
        .collect();
    let mut batch = String::new();
    for (mac, outer) in there.difference(&wanted) {
        batch.push_str(&format!("fdb del {mac} dev {TUNNEL} dst {outer}\n"));
    }
    for (mac, outer) in wanted.difference(&there) {
        batch.push_str(&format!("fdb replace {mac} dev {TUNNEL} dst {outer}\n"));
    }
    in_batch("bridge", &batch)
}

fn pairs(list: &[Value], first: &str, second: &str) -> BTreeSet<(String, String)> {
    let pairs = list.iter().filter_map(|entry| {
        let text = |field: &str| entry[field].as_str().map(str::to_owned);
        Some((text(first)?, text(second)?))
    });
    pairs.collect()
}

/// What leaves the pods' network has the node's address; services have been replaced by pods before that.
fn masquerade(plan: &Plan, cluster: Ipv4Net) -> Result<()> {
    let Some(pods) = plan.pods else {
        return Ok(());
    };
    let wanted = format!("ip saddr {pods} ip daddr != {{ {cluster}, 224.0.0.0/4 }} masquerade");
    let there = run("nft", &["list", "table", "ip", TABLE]).unwrap_or_default();
    if there.contains(&format!("ip saddr {pods} ")) && there.contains(&cluster.to_string()) {
        return Ok(());
    }
    let rules = format!(
        "table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\nchain out {{\n\
         type nat hook postrouting priority 100;\n{wanted}\n}}\n}}\n"
    );
    fed("nft", &["-f", "-"], &rules)?;
    Ok(())
}

fn config(plan: &Plan, configs: &Path) -> Result<()> {
    let path = configs.join(CONFLIST);
    match plan.pods {
        Some(pods) => {
            if files::update(&path, conflist(pods, plan.mtu).as_bytes(), 0o644)? {
                tracing::info!("pods get addresses of {pods}");
            }
            Ok(())
        }
        // A node that is not in the list may only be late: its pods keep what they have.
        None if path.exists() => Ok(()),
        None => fs::create_dir_all(configs).with_context(|| configs.display().to_string()),
    }
}
